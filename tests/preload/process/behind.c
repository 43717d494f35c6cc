/* An allocator for between the shim and libc, as some wrappers are: with a lock of its own, which
 * it holds over a fork(), and libc's functions by the names that only libc has. */
#include <pthread.h>
#include <stddef.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock(void)
{
    pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

__attribute__((constructor)) static void hold_over_fork(void)
{
    pthread_atfork(lock, unlock, unlock);
}

static void *unlocked(void *block)
{
    unlock();
    return block;
}

void *malloc(size_t size)
{
    lock();
    return unlocked(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    lock();
    return unlocked(__libc_calloc(count, size));
}

void *realloc(void *block, size_t size)
{
    lock();
    return unlocked(__libc_realloc(block, size));
}

void *memalign(size_t alignment, size_t size)
{
    lock();
    return unlocked(__libc_memalign(alignment, size));
}

void free(void *block)
{
    lock();
    __libc_free(block);
    unlock();
}
