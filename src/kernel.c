#include "kernel.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the kernel says: a negative errno is a failure. The calling conventions are those of
 * syscall(2). */
static long call(long number, const long with[static 6])
{
#if defined __x86_64__
    long result;
    register long d __asm__("r10") = with[3], e __asm__("r8") = with[4], f __asm__("r9") = with[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(with[0]), "S"(with[1]), "d"(with[2]), "r"(d), "r"(e), "r"(f)
                     : "rcx", "r11", "memory");
    return result;
#elif defined __aarch64__
    register long which __asm__("x8") = number, a __asm__("x0") = with[0],
                        b __asm__("x1") = with[1], c __asm__("x2") = with[2],
                        d __asm__("x3") = with[3], e __asm__("x4") = with[4],
                        f __asm__("x5") = with[5];
    __asm__ volatile("svc #0"
                     : "+r"(a)
                     : "r"(which), "r"(b), "r"(c), "r"(d), "r"(e), "r"(f)
                     : "memory");
    return a;
#else
    int saved_errno = errno;
    long result = syscall(number, with[0], with[1], with[2], with[3], with[4], with[5]);
    if (result == -1)
        result = -errno;
    errno = saved_errno;
    return result;
#endif
}

#define ERRNO_MOST 4095

void *mm_kernel_mmap(size_t size, int access)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    long start = call(SYS_mmap, (long[6]){0, (long)size, access, flags, -1, 0});
    return start < 0 && start >= -ERRNO_MOST ? NULL : (void *)start;
}

bool mm_kernel_mprotect(void *start, size_t size, int access)
{
    return call(SYS_mprotect, (long[6]){(long)start, (long)size, access}) == 0;
}

bool mm_kernel_madvise(void *start, size_t size, int advice)
{
    return call(SYS_madvise, (long[6]){(long)start, (long)size, advice}) == 0;
}

bool mm_kernel_munmap(void *start, size_t size)
{
    return call(SYS_munmap, (long[6]){(long)start, (long)size}) == 0;
}

bool mm_kernel_getrlimit(int resource, struct rlimit *limit)
{
    return call(SYS_prlimit64, (long[6]){0, resource, 0, (long)limit}) == 0;
}

bool mm_kernel_sysinfo(struct sysinfo *info)
{
    return call(SYS_sysinfo, (long[6]){(long)info}) == 0;
}
