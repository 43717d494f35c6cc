/* An allocator behind the shim, to be preloaded, that begins when it is first asked for anything,
 * and then registers handlers of fork(). The first who asks is the shim, in its start: by
 * mallopt(), or, BY_ALLOCATING, as the start calls a getpagesize() that allocates. */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

extern void *__libc_malloc(size_t size);
extern void *malloc(size_t size);
extern void free(void *block);

EXPORT unsigned begins_prepared, begins_in_parent, begins_in_child;

static void prepare(void)
{
    begins_prepared++;
}

static void go_on_in_parent(void)
{
    begins_in_parent++;
}

static void go_on_in_child(void)
{
    begins_in_child++;
}

static void begin(void)
{
    static bool has_begun;
    if (has_begun)
        return;
    has_begun = true;
    pthread_atfork(prepare, go_on_in_parent, go_on_in_child);
}

EXPORT void *malloc(size_t size)
{
    begin();
    return __libc_malloc(size);
}

#ifdef BY_ALLOCATING
EXPORT int getpagesize(void)
{
    static bool is_inside;
    if (!is_inside) {
        is_inside = true;
        free(malloc(100));
        is_inside = false;
    }
    return (int)sysconf(_SC_PAGESIZE);
}
#else
EXPORT int mallopt(int parameter, int value)
{
    (void)parameter;
    (void)value;
    begin();
    return 1;
}
#endif
