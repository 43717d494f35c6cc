/* empty.c - a library with nothing in it. What preloading that costs is the linker's share of what
 * preloading an allocator costs. */
extern const char bench_empty;
const char bench_empty = 0;
