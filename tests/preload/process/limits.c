/* A process that limits itself as it runs: what the arena has reserved and not used must not count,
 * and a limit on what it may have must reach the caller as ENOMEM. */
#include "check.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static int pass_status(int status)
{
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Each in a process of its own: a limit once lowered stays. */
static void in_child(void (*test)(void))
{
    int status;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        test();
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && pass_status(status) == 0);
}

static void limit(__rlimit_resource_t resource, size_t most)
{
    struct rlimit wanted = {most, RLIM_INFINITY};

    CHECK(getrlimit(resource, &wanted) == 0);
    wanted.rlim_cur = most;
    CHECK(setrlimit(resource, &wanted) == 0);
}

/* --- RLIMIT_AS --- */

static void *allocate_in_thread(void *unused)
{
    (void)unused;
    free(malloc(100));
    return malloc(20 * MIB);
}

/* A list of small blocks, some MiB of it. */
static void use_memory(size_t total)
{
    void **list = NULL;

    for (size_t got = 0; got < total; got += 200) {
        void **block = malloc(200);

        CHECK(block != NULL);
        *block = list;
        list = block;
    }
    for (void *next; list != NULL; list = next) {
        next = *list;
        free(list);
    }
}

/* Of 400 MiB, 160 for a few blocks, a thread with its stack, and 60 for many. */
static void go_on_within_limit(void)
{
    pthread_t thread;
    void *block = malloc(100 * MIB), *other;

    CHECK(block != NULL);
    memset(block, 1, 100 * MIB);
    CHECK(pthread_create(&thread, NULL, allocate_in_thread, NULL) == 0);
    CHECK(pthread_join(thread, &other) == 0 && other != NULL);
    use_memory(60 * MIB);
    free(other);
    free(block);
    errno = 0;
    CHECK(malloc(500 * MIB) == NULL && errno == ENOMEM);
}

static void limit_by_setrlimit(void)
{
    use_memory(3 * MIB);
    limit(RLIMIT_AS, 400 * MIB);
    go_on_within_limit();
}

static void limit_by_prlimit(void)
{
    struct rlimit wanted;

    CHECK(prlimit(0, RLIMIT_AS, NULL, &wanted) == 0);
    wanted.rlim_cur = 400 * MIB;
    CHECK(prlimit(getpid(), RLIMIT_AS, &wanted, NULL) == 0);
    go_on_within_limit();
    CHECK(prlimit(0, RLIMIT_AS, &wanted, NULL) == 0);
}

/* More is in use than is left: what is there can be used on, and freed. */
static void limit_below_use(void)
{
    static char *blocks[40000];

    for (size_t i = 0; i < 40000; i++) {
        blocks[i] = malloc(1000);
        CHECK(blocks[i] != NULL);
        fill(blocks[i], 1000, (unsigned)i);
    }
    limit(RLIMIT_AS, 20 * MIB);
    errno = 0;
    CHECK(malloc(30 * MIB) == NULL && errno == ENOMEM);
    for (size_t i = 0; i < 40000; i++) {
        CHECK(filled(blocks[i], 1000, (unsigned)i));
        free(blocks[i]);
    }
    for (size_t i = 0; i < 30000; i++)
        CHECK((blocks[i] = malloc(1000)) != NULL);
}

/* Other limits, and other questions, give nothing up. */
static void limit_something_else(void)
{
    size_t before = address_space_kib();
    struct rlimit as;

    limit(RLIMIT_NOFILE, 100);
    CHECK(getrlimit(RLIMIT_AS, &as) == 0 && setrlimit(RLIMIT_AS, &as) == 0);
    CHECK(address_space_kib() == before);
    as.rlim_cur = as.rlim_max = 1;
    CHECK(prlimit(1, (enum __rlimit_resource)1000, &as, NULL) == -1 && errno == EINVAL);
    CHECK(setrlimit((__rlimit_resource_t)1000, &as) == -1 && errno == EINVAL);
}

/* Nor do calls that fail. */
static void fail_to_limit(void)
{
    size_t before = address_space_kib();
    struct rlimit upside_down = {MIB, MIB / 2};

    CHECK(setrlimit(RLIMIT_AS, &upside_down) == -1 && errno == EINVAL);
    CHECK(setrlimit(RLIMIT_AS, hide((void *)8)) == -1 && errno == EFAULT);
    CHECK(prlimit(0, RLIMIT_AS, hide((void *)8), NULL) == -1 && errno == EFAULT);
    CHECK(address_space_kib() == before);
}

/* The child of a vfork() runs in our address space, but the limit is its own. */
static void limit_in_vforked_child(void)
{
    size_t before = address_space_kib();
    struct rlimit wanted = {100 * MIB, 100 * MIB};
    int status;
    pid_t child = vfork();

    CHECK(child >= 0);
    if (child == 0)
        _exit(setrlimit(RLIMIT_AS, &wanted) == 0 ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child && pass_status(status) == 0);
    CHECK(address_space_kib() == before);
    use_memory(100 * MIB);
}

/* A child that libc is not told of has a copy of it, and room within its limit. */
static void limit_in_a_copy(void)
{
    int status;
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    CHECK(child >= 0);
    if (child == 0) {
        struct rlimit wanted = {200 * MIB, 200 * MIB};
        bool limited = setrlimit(RLIMIT_AS, &wanted) == 0;
        bool mapped = mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
        _exit(limited && mapped ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child && pass_status(status) == 0);
}

/* --- RLIMIT_DATA --- */

static void *blocks_got[200000];

/* Until nothing is to be had; all of it is good, can be freed, and had once more. */
static void exhaust(size_t size)
{
    size_t rounds[2];

    for (int round = 0; round < 2; round++) {
        size_t count = 0;

        errno = 0;
        while (count < 200000 && (blocks_got[count] = malloc(size)) != NULL) {
            *(size_t *)blocks_got[count] = count;
            count++;
        }
        CHECK(count > 200 && count < 200000 && errno == ENOMEM);
        rounds[round] = count;
        while (count-- > 0) {
            CHECK(*(size_t *)blocks_got[count] == count);
            free(blocks_got[count]);
        }
    }
    CHECK(rounds[1] >= rounds[0] / 10 * 8);
}

static void exhaust_data_by_small(void)
{
    limit(RLIMIT_DATA, 40 * MIB);
    exhaust(1000);
}

static void exhaust_data_by_large(void)
{
    limit(RLIMIT_DATA, 60 * MIB);
    exhaust(100000);
}

/* --- mlockall() --- */

#define NOBODY 65534

static void lock_all(void)
{
    if (mlockall(MCL_CURRENT | MCL_FUTURE) == 0) {
        CHECK(resident_kib() < 64 * 1024);
        use_memory(10 * MIB);
    }
}

static void lock_all_without_privilege(void)
{
    struct rlimit wanted = {64 * MIB, 64 * MIB};

    if (setrlimit(RLIMIT_MEMLOCK, &wanted) == 0 && setuid(NOBODY) == 0) {
        CHECK(mlockall(MCL_CURRENT) == 0);
        use_memory(10 * MIB);
    }
}

/* --- vm.max_map_count --- */

/* Takes all mappings that the kernel allows: pages of two kinds in turn. */
static void exhaust_mappings(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = 200000;
    char *start = mmap(NULL, pages * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t count = 0;

    CHECK(start != MAP_FAILED);
    use_memory(MIB); /* the tables have their mappings */
    free(malloc(100000));
    while (count < pages / 2 && mprotect(start + 2 * count * page, page, PROT_READ) == 0)
        count++;
    const void *libcs_end = sbrk(0);
    use_memory(30 * MIB); /* the arena grows as libc's heap would, and needs no mapping either */
    CHECK(sbrk(0) == libcs_end);
    if (count < pages / 2) {
        void *extended =
            malloc(64 * MIB); /* libc has it without a mapping; we may note it nowhere */
        CHECK(extended != NULL);
        free(extended);
    }
    CHECK(munmap(start, pages * page) == 0);
    use_memory(30 * MIB);
    void *block = malloc(64 * MIB);
    CHECK(block != NULL);
    free(block);
}

int main(void)
{
    in_child(limit_by_setrlimit);
    in_child(limit_by_prlimit);
    in_child(limit_below_use);
    in_child(limit_something_else);
    in_child(fail_to_limit);
    in_child(limit_in_vforked_child);
    in_child(limit_in_a_copy);
    in_child(lock_all);
    in_child(lock_all_without_privilege);
    in_child(exhaust_data_by_small);
    in_child(exhaust_data_by_large);
    /* Not in a child, where mappings that were there before the fork do not grow. */
    exhaust_mappings();
    return 0;
}
