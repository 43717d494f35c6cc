/* An allocator behind the shim, to be preloaded, that takes its time over blocks of one size. */
#include <stddef.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);

__attribute__((visibility("default"))) void *malloc(size_t size)
{
    if (size == 77777)
        usleep(5000);
    return __libc_malloc(size);
}
