/* look.c - looks at this process: where pointers are found and where not, what becomes of many
 * stacks, of memory that is refused, of two looks at once, and of one that nobody waits for. */
#include "leaks/look.h"

#include "blocks/stacks.h"
#include "check.h"
#include "entry/process.h"
#include "entry/route.h"
#include "findings/sink.h"
#include "leaks/answer.def"
#include "system/os.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1 /* Linux 5.11 */
#endif

enum { SMALL = 40, LARGE = 100000, LIBC_HEAP = 64 << 20, ORDER = 16 };

static struct mm_look found;

static void start(unsigned frames, size_t quarantine)
{
    struct mm_process_config config = {.report = {.on_misuse = check_on_misuse, .most = UINT64_MAX},
                                       .batch_slots = MM_WORD_BITS,
                                       .slot_max = MM_SLOT_SIZE_MAX,
                                       .arena_size = (size_t)256 << 20,
                                       .stacks = {.frames = frames, .every = 1},
                                       .checks = {.quarantine = quarantine},
                                       .leaks = {.on = true}};
    CHECK(mm_process_start(&config));
}

static enum mm_look_result look_with(const struct mm_look_settings *settings)
{
    struct mm_here here;
    mm_here_take(&here);
    return mm_look(&found, settings, &here);
}

static size_t blocks_found(void)
{
    size_t count = 0;
    for (size_t i = 0; i < found.count; i++)
        count += found.groups[i].blocks;
    return count;
}

/* How many blocks are found, and that all is known of these. */
static size_t look(bool in_copy, bool libc_heap_is_own)
{
    struct mm_look_settings settings = {
        .leaks = true, .in_copy = in_copy, .roots = {.libc_heap_is_own = libc_heap_is_own}};
    CHECK_EQUAL(look_with(&settings), MM_LOOK_DONE);
    CHECK(!mm_look_is_unsure(&found));
    size_t count = blocks_found();
    mm_look_end(&found);
    return count;
}

/* A pointer that nobody else has: what is kept of it here is no pointer. */
#define HIDDEN (~(uintptr_t)0)

static __attribute__((noinline)) uintptr_t take(size_t size)
{
    void *block = mm_alloc(size);
    CHECK(block != NULL);
    memset(block, 0, size);
    return (uintptr_t)block ^ HIDDEN;
}

static __attribute__((noinline)) void drop(uintptr_t hidden)
{
    mm_free((void *)(hidden ^ HIDDEN), NULL); /* NOLINT */
}

static __attribute__((noinline)) void put(uintptr_t *place, uintptr_t hidden)
{
    *place = hidden ^ HIDDEN;
}

/* Overwrites what calls left below. */
static __attribute__((noinline)) void wipe(void)
{
    volatile char below[16384];
    for (size_t i = 0; i < sizeof below; i++)
        below[i] = 0;
}

/* Only what lies at `place` points to a block. */
static void check_reaches(uintptr_t *place, bool reaches)
{
    uintptr_t block = take(SMALL), before = *place;
    put(place, block);
    wipe();
    CHECK_EQUAL(look(false, true), !reaches);
    *place = before;
    wipe();
    CHECK_EQUAL(look(false, true), 1);
    drop(block);
}

static uintptr_t *map(size_t size, int access, int flags, int fd)
{
    void *start = mmap(NULL, size, access, flags, fd, 0);
    CHECK(start != MAP_FAILED);
    return start;
}

/* --- where pointers are looked for --- */

static uintptr_t in_data = 1;

static void in_mappings(void)
{
    size_t page = mm_os_page_size();
    char name[64];
    int both = PROT_READ | PROT_WRITE, zero = open("/dev/zero", O_RDWR);
    uintptr_t *alone = map(page, both, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    uintptr_t *shared = map(page, both, MAP_SHARED | MAP_ANONYMOUS, -1);
    uintptr_t *of_zero = map(page, both, MAP_PRIVATE, zero);
    snprintf(name, sizeof name, "/dev/shm/mm_unit_look_%d", (int)getpid());
    int file = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(file < 0 || (unlink(name) == 0 && ftruncate(file, (off_t)page) == 0));
    check_reaches(&in_data, true);
    check_reaches(alone + 3, true);
    check_reaches(shared + 3, true);
    check_reaches(of_zero + 3, true);
    if (file >= 0) {
        uintptr_t *of_file = map(page, both, MAP_SHARED, file);
        check_reaches(of_file + 3, true);
        munmap(of_file, page);
    }
    /* Read only: what was written before counts in memory of no file. */
    uintptr_t block = take(SMALL);
    put(alone, block);
    CHECK(mprotect(alone, page, PROT_READ) == 0);
    CHECK_EQUAL(look(false, true), 0);
    CHECK(mprotect(alone, page, PROT_NONE) == 0);
    CHECK_EQUAL(look(false, true), 1);
    drop(block);
    munmap(alone, page);
    munmap(shared, page);
    munmap(of_zero, page);
    close(zero);
    close(file);
}

/* Without what the system tells of pages all are read. */
static void without_pagemap(void)
{
    struct mm_here here;
    struct mm_marks marks;
    struct mm_roots roots;
    struct mm_roots_settings settings = {.libc_heap_is_own = true};
    static struct mm_stop nobody;
    uintptr_t block = take(SMALL);
    put(&in_data, block);
    mm_here_take(&here);
    CHECK(mm_marks_start(&marks, false));
    CHECK(mm_roots_start(&roots, &settings, &nobody, &here, &marks));
    close(roots.pages_fd);
    roots.pages_fd = roots.shared_pages_fd = -1;
    mm_roots_tell(&roots);
    mm_marks_flood(&marks);
    CHECK(mm_marks_are_all(&marks));
    mm_roots_end(&roots);
    mm_marks_end(&marks);
    in_data = 1;
    drop(block);
}

/* --- libc's heaps, which are known by their heads: four words --- */

static void in_heaps(void)
{
    char *space = (char *)map(2 * LIBC_HEAP, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    uintptr_t *heap = (uintptr_t *)(space + LIBC_HEAP - (uintptr_t)space % LIBC_HEAP);
    size_t page = mm_os_page_size();
    uintptr_t start = (uintptr_t)heap, size = 4 * page;
    const struct {
        uintptr_t head[4]; /* arena, heap before, size, size that can be written to */
        bool is_heap;
    } heads[] = {
        {{start + 32, 0, size, size}, true},
        {{start + 32, 0, 2 * page, size}, true},
        {{start + 32, LIBC_HEAP, size, size}, true},
        {{0, 0, 0, 0}, false},
        {{start + 4096, 0, size, size}, false},
        {{start - 8, 0, size, size}, false},
        {{0, LIBC_HEAP, size, size}, false},
        {{start + 32, LIBC_HEAP + 1, size, size}, false},
        {{start + 32, 0, 0, size}, false},
        {{start + 32, 0, size - 8, size}, false},
        {{start + 32, 0, size, 2 * page}, false},
        {{start + 32, 0, size, (uintptr_t)2 * LIBC_HEAP}, false},
        {{start + 32, 0, 2 * size, 2 * size}, false},
    };
    CHECK(mprotect(heap, size, PROT_READ | PROT_WRITE) == 0);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        memcpy(heap, heads[i].head, sizeof heads[i].head);
        check_reaches(heap + 8, !heads[i].is_heap);
    }
    /* Where libc's heaps are others' as well, what lies in them counts. */
    uintptr_t block = take(SMALL);
    memcpy(heap, heads[0].head, sizeof heads[0].head);
    put(heap + 8, block);
    CHECK_EQUAL(look(false, false), 0);
    CHECK_EQUAL(look(false, true), 1);
    drop(block);
    munmap(space, 2 * LIBC_HEAP);
}

/* Somebody else's memory behind the main one, whatever it begins with. */
static void behind_main_heap(void)
{
    static const uintptr_t sizes[] = {0, 16, 40, (uintptr_t)1 << 40};
    uintptr_t *place = sbrk(4096);
    if (place == (void *)-1 || (uintptr_t)place % 16 != 0)
        return;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        place[1] = sizes[i];
        check_reaches(place + 3, true);
    }
}

/* --- what is held, and what is not --- */

static void held(void)
{
    uintptr_t block = take(SMALL), holder = take(LARGE);
    put((uintptr_t *)(holder ^ HIDDEN) + 50, block);
    put(&in_data, holder);
    wipe();
    CHECK_EQUAL(look(false, true), 0);
    drop(holder);
    wipe();
    CHECK_EQUAL(look(false, true), 1);
    in_data = 1;
    drop(block);
}

/* --- threads --- */

struct waiter {
    int ends[2];
    char *stack; /* of its signals */
    uintptr_t block;
    bool blocks_all;
    _Atomic bool is_ready;
};

static void *wait_with_block(void *with)
{
    struct waiter *waiter = with;
    uint64_t all = UINT64_MAX;
    char c;
    if (waiter->stack != NULL) {
        stack_t stack = {.ss_sp = waiter->stack, .ss_size = 4 * 16384};
        CHECK(sigaltstack(&stack, NULL) == 0);
    }
    void *volatile block = (void *)(waiter->block ^ HIDDEN); /* NOLINT */
    if (waiter->blocks_all)
        CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all) == 0);
    waiter->is_ready = true;
    CHECK(read(waiter->ends[0], &c, 1) == 1);
    CHECK(block != NULL);
    return NULL;
}

static void with_thread(bool has_stack, bool blocks_all)
{
    struct waiter waiter = {.block = take(SMALL), .blocks_all = blocks_all};
    struct mm_look_settings settings = {.leaks = true, .in_copy = has_stack};
    uintptr_t lost = take(SMALL);
    pthread_t thread;
    waiter.stack = has_stack ? malloc(4 * 16384) : NULL;
    CHECK(pipe(waiter.ends) == 0);
    CHECK(pthread_create(&thread, NULL, wait_with_block, &waiter) == 0);
    while (!waiter.is_ready)
        check_yield();
    wipe();
    CHECK_EQUAL(look_with(&settings), MM_LOOK_DONE);
    CHECK_EQUAL(found.unsure, blocks_all);
    CHECK_EQUAL(mm_look_is_unsure(&found), blocks_all);
    CHECK_EQUAL(blocks_found(), 1);
    CHECK_EQUAL(found.groups[0].mark, blocks_all ? MM_MARK_POSSIBLE : MM_MARK_DIRECT);
    CHECK_EQUAL(found.groups[0].first, lost ^ HIDDEN);
    mm_look_end(&found);
    CHECK(write(waiter.ends[1], "", 1) == 1);
    pthread_join(thread, NULL);
    close(waiter.ends[0]);
    close(waiter.ends[1]);
    free(waiter.stack);
    drop(waiter.block);
    drop(lost);
}

/* --- more stacks than there are groups for --- */

static uintptr_t many[1 << ORDER];
static size_t many_count;

/* Two ways at each depth, which no compiler puts into one. */
static void take_by_all_ways(unsigned depth);
static void (*volatile take_deeper)(unsigned depth) = take_by_all_ways;

static void take_by_all_ways(unsigned depth)
{
    if (depth == 0) {
        many[many_count++] = take(SMALL);
        return;
    }
    take_deeper(depth - 1);
    take_deeper(depth - 1);
    __asm__ volatile(""); /* no call is the last that it does */
}

static void many_stacks(void)
{
    struct mm_look_settings settings = {.leaks = true, .in_copy = true};
    take_by_all_ways(ORDER);
    wipe();
    CHECK_EQUAL(look_with(&settings), MM_LOOK_DONE);
    CHECK_EQUAL(blocks_found(), 1u << ORDER);
    CHECK(found.count > 1u << (ORDER - 1) && found.count < 1u << ORDER);
    CHECK_EQUAL(found.groups[0].stack, 0);
    mm_look_end(&found);
    for (size_t i = 0; i < many_count; i++)
        drop(many[i]);
}

/* --- two at once --- */

static _Atomic bool was_busy;

static void look_till_busy(unsigned number, void *unused)
{
    struct mm_look_settings settings = {.leaks = true, .in_copy = true};
    struct mm_look own;
    struct mm_here here;
    (void)number;
    (void)unused;
    while (!was_busy) {
        mm_here_take(&here);
        enum mm_look_result result = mm_look(&own, &settings, &here);
        CHECK(result == MM_LOOK_DONE || result == MM_LOOK_BUSY);
        if (result == MM_LOOK_BUSY)
            was_busy = true;
        mm_look_end(&own);
    }
}

/* --- a copy that nobody waits for --- */

enum { ASKER = 7 };

static enum mm_look_result begin(void)
{
    struct mm_look_settings settings = {.leaks = true, .in_copy = true, .asker = ASKER};
    return look_with(&settings);
}

static size_t taken(void)
{
    enum mm_look_result result;
    CHECK(!mm_look_take(ASKER + 1, &found, &result));
    CHECK(mm_look_take(ASKER, &found, &result));
    CHECK_EQUAL(result, MM_LOOK_DONE);
    size_t count = blocks_found();
    mm_look_end(&found);
    CHECK(waitpid(-1, NULL, (int)__WALL) == -1 && errno == ECHILD);
    CHECK(!mm_look_take(ASKER, &found, &result));
    return count;
}

/* The child has no such copy, and can look itself. */
static void fork_meanwhile(void)
{
    int status;
    enum mm_look_result result;
    pid_t child = fork();
    if (child == 0) {
        mm_look_renew();
        bool is_new = !mm_look_take(ASKER, &found, &result) && look(true, false) == 1;
        _exit(is_new ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* Nobody else has the other end, then. Linux 5.9 has the call. */
static void is_closed(int ends[2])
{
    char none;
    struct pollfd reader = {.fd = ends[0], .events = POLLIN};
    close(ends[1]);
    if (syscall(SYS_close_range, ~0u, ~0u, 0) == 0)
        CHECK(poll(&reader, 1, 30000) == 1 && read(ends[0], &none, 1) == 0);
    close(ends[0]);
}

static void begin_elsewhere(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    CHECK_EQUAL(begin(), MM_LOOK_DONE); /* such a copy is waited for */
    mm_look_end(&found);
}

static void take_elsewhere(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    CHECK_EQUAL(taken(), 1);
}

/* Into a pipe that is full, so that the copy is there until that is read. */
static void goes_on(void)
{
    static char filling[1 << 16], last;
    int answers[2], ends[2];
    uintptr_t block = take(SMALL);
    wipe();
    CHECK(pipe(answers) == 0 && pipe(ends) == 0);
    CHECK(fcntl(answers[1], F_SETPIPE_SZ, sizeof filling) == sizeof filling);
    CHECK(write(answers[1], filling, sizeof filling) == sizeof filling);
    CHECK(mm_sink_divert(answers[1]));
    CHECK_EQUAL(begin(), MM_LOOK_LATER);
    mm_sink_divert_leave();
    is_closed(ends);
    fork_meanwhile();
    CHECK_EQUAL(look(true, false), 1); /* nor is anybody else kept from it */
    CHECK_EQUAL(begin(), MM_LOOK_DONE);
    mm_look_end(&found);
    check_in_threads(1, begin_elsewhere, NULL);
    CHECK(read(answers[0], filling, sizeof filling) == sizeof filling);
    while (read(answers[0], &last, 1) > 0)
        CHECK_EQUAL(last, MM_ANSWER_LATER);
    CHECK_EQUAL(last, MM_ANSWER_LATER);
    close(answers[0]);
    check_in_threads(1, take_elsewhere, NULL);

    CHECK_EQUAL(begin(), MM_LOOK_LATER);
    CHECK_EQUAL(taken(), 1);
    drop(block);
}

/* --- memory that is refused, and what a copy does not have --- */

#ifndef CHECK_EMULATED /* which refuses nothing, and has memory of its own */
static size_t address_space(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%zu", &pages) == 1);
    fclose(file);
    return pages * mm_os_page_size();
}

/* More and more until it is enough; the look says so each time that it is not. */
static void refused(bool in_copy)
{
    struct mm_look_settings settings = {.leaks = true, .in_copy = in_copy};
    struct rlimit all, some;
    enum mm_look_result result = MM_LOOK_NO_MEMORY;
    unsigned refusals = 0;
    CHECK(getrlimit(RLIMIT_AS, &all) == 0);
    some = all;
    /* A preloaded allocator makes itself smaller each time. */
    for (some.rlim_cur = 0; some.rlim_cur != address_space();) {
        some.rlim_cur = address_space();
        CHECK(setrlimit(RLIMIT_AS, &some) == 0);
        CHECK(setrlimit(RLIMIT_AS, &all) == 0);
    }
    for (some.rlim_cur = address_space(); result != MM_LOOK_DONE; some.rlim_cur += 8192) {
        CHECK(setrlimit(RLIMIT_AS, &some) == 0);
        result = look_with(&settings);
        CHECK(setrlimit(RLIMIT_AS, &all) == 0);
        mm_look_end(&found);
        refusals += result != MM_LOOK_DONE;
    }
    CHECK(refusals > 10);
}

static void kept_from_copies(void)
{
    struct mm_look_settings settings = {.leaks = true, .in_copy = true};
    size_t page = mm_os_page_size();
    uintptr_t *place = map(page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    uintptr_t block = take(SMALL);
    CHECK(madvise(place, page, MADV_DONTFORK) == 0);
    wipe();
    CHECK_EQUAL(look_with(&settings), MM_LOOK_DONE);
    CHECK(found.is_cut && found.unsure == 0);
    CHECK_EQUAL(found.groups[0].mark, MM_MARK_POSSIBLE);
    mm_look_end(&found);
    munmap(place, page);
    drop(block);
}
#endif

/* Sanitizers have shadows of terabytes, all of which would be looked through. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SHADOWS true
#else
#define HAS_SHADOWS false
#endif

/* Pages that a thread is to provide, which stands for the look. */
static void provided(void)
{
    size_t size = (size_t)1 << 20;
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    struct uffdio_api api = {.api = UFFD_API};
    if (fd < 0)
        return;
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct uffdio_register range = {.range = {(uintptr_t)pages, size},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};
    CHECK(ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &range) == 0);
    CHECK_EQUAL(look(false, true), 0);
    munmap(pages, size);
    close(fd);
}

int main(void)
{
    if (HAS_SHADOWS)
        return 77;
    start(0, 0);
    CHECK_EQUAL(look(false, true), 0);
    in_mappings();
    in_heaps();
    behind_main_heap();
    provided();
    with_thread(false, false);
    with_thread(true, false);
    with_thread(false, true);
    check_in_threads(2, look_till_busy, NULL);
    goes_on();
#ifndef CHECK_EMULATED
    refused(false);
    refused(true);
    kept_from_copies();
#endif
    without_pagemap(); /* from then on there are pages wherever it read */
    mm_process_stop();
    start(32, 1 << 20); /* as many frames as there can be: our own are among them */
    held();
    many_stacks();
    mm_process_stop();
    return 0;
}
