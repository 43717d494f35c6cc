#include "seam.h"

#include "check.h"
#include "slots/heap.h"
#include "system/kernel.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct {
    enum seam_call call; /* SEAM_CALLS: any, at random */
    unsigned from, to;
    int error;
    unsigned one_in;
} plan;
static _Atomic unsigned counts[SEAM_CALLS];
static _Atomic uint64_t random_state;

/* --- what fails --- */

const char *seam_name(enum seam_call call)
{
    static const char *const names[] = {
#define CALL(name, ...) #name,
#include "seam.def"
#undef CALL
    };
    return names[call];
}

static void restart(void)
{
    plan.from = plan.to = plan.one_in = 0;
    for (unsigned i = 0; i < SEAM_CALLS; i++)
        atomic_store(&counts[i], 0);
}

void seam_heal(void)
{
    restart();
}

void seam_fail(enum seam_call call, unsigned nth, bool later_too, int error)
{
    restart();
    plan.call = call;
    plan.error = error;
    plan.from = nth;
    plan.to = later_too ? UINT32_MAX : nth;
}

void seam_fail_at_random(unsigned one_in, uint64_t seed)
{
    restart();
    atomic_store(&random_state, seed);
    plan.one_in = one_in;
    plan.error = 0;
}

unsigned seam_count(enum seam_call call)
{
    return atomic_load(&counts[call]);
}

static bool fails_at_random(void)
{
    uint64_t state = atomic_fetch_add(&random_state, 1);
    return plan.one_in != 0 && check_random(&state) % plan.one_in == 0;
}

static bool fails(enum seam_call call, int usual_error)
{
    unsigned number = atomic_fetch_add(&counts[call], 1) + 1;
    bool planned = plan.call == call && number >= plan.from && number <= plan.to;
    if (!planned && !fails_at_random())
        return false;
    if (plan.error != 0 || usual_error != 0)
        errno = plan.error != 0 ? plan.error : usual_error;
    return true;
}

/* --- pages of another size --- */

static size_t page;

__attribute__((constructor)) static void set_page_size(void)
{
    const char *wanted = getenv("SEAM_PAGE_SIZE");
    page = (size_t)sysconf(_SC_PAGESIZE);
    if (wanted != NULL)
        page = strtoul(wanted, NULL, 10);
}

static size_t whole_pages(size_t size)
{
    return (size + page - 1) & ~(page - 1);
}

static void *page_start(void *start)
{
    CHECK_EQUAL((uintptr_t)start % page, 0);
    return start;
}

/* Aligned as such a page would be: the ends that are too much go back. */
static void *map_pages(size_t size, int access)
{
    size = whole_pages(size);
    char *start = mm_kernel_mmap(size + page, access);
    if (start == NULL)
        return NULL;
    size_t before = whole_pages((uintptr_t)start) - (uintptr_t)start;
    CHECK(before == 0 || munmap(start, before) == 0);
    CHECK(munmap(start + before + size, page - before) == 0);
    return start + before;
}

/* --- memory that goes back --- */

#define PIECE ((size_t)4 << 20)

/* Giving memory back takes long: nobody may wait for a lock meanwhile, and the kernel's own is kept
 * for a piece only. */
static int held_by_nobody(size_t size, int advice)
{
    if (advice == MADV_DONTNEED) {
        CHECK(!mm_lock_is_own(&mm_arena_lock));
        CHECK(!mm_lock_is_own(&mm_heap_lock));
        CHECK(!mm_lock_is_own(&mm_heap_ending_lock));
        CHECK(size <= PIECE);
    }
    return advice;
}

/* --- the calls --- */

#define CALL(name, type, parameters, failure, error, call)                                         \
    type seam_##name parameters;                                                                   \
    type seam_##name parameters                                                                    \
    {                                                                                              \
        return fails(SEAM_##name, error) ? (failure) : (call);                                     \
    }
#include "seam.def"
