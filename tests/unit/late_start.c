/* late_start.c - the first start, while another thread holds the lock under which the dynamic
 * linker links modules in and out: it waits, for it looks at them, and not with a lock that the
 * other thread then waits for. What is wrong with the latter hangs. */
#include "check.h"

#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

static _Atomic bool is_inside, has_left;

static int allocate_inside(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)info;
    (void)size;
    (void)unused;
    atomic_store(&is_inside, true);
    usleep(300000); /* the other one starts */
    mem_mngr_free(mem_mngr_alloc(10));
    atomic_store(&has_left, true);
    return 1;
}

static void *look_at_modules(void *unused)
{
    dl_iterate_phdr(allocate_inside, NULL);
    return unused;
}

int main(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, look_at_modules, NULL) == 0);
    while (!atomic_load(&is_inside))
        check_yield();
    void *block = mem_mngr_alloc(10);
    CHECK(block != NULL && atomic_load(&has_left));
    mem_mngr_free(block);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_EQUAL(mem_mngr_leave(), 0);
    return 0;
}
