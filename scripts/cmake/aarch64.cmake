# Cross build for aarch64 with Debian's compiler and libc (gcc-aarch64-linux-gnu, g++-aarch64-linux-gnu,
# libc6-dev-arm64-cross); tests run under qemu-user:
#   cmake -B build-aarch64 --toolchain scripts/cmake/aarch64.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(triplet aarch64-linux-gnu)
set(CMAKE_C_COMPILER ${triplet}-gcc)
set(CMAKE_CXX_COMPILER ${triplet}-g++)
set(CMAKE_LIBRARY_ARCHITECTURE ${triplet})
# Signed addresses (-mbranch-protection) by the emulator's own algorithm: to emulate the usual one takes two fifths of
# all that the tests take. Known to QEMU 6.0 and later.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -cpu max,pauth-impdef=on -L /usr/${triplet})
