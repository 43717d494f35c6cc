/* beside.c - marks beside a program that runs: which pages are written to, what a helper thread may
 * do, that no pointer is lost that moves meanwhile, and what becomes of all that when a fork(), an
 * exit or a second look comes in between. */
#include "leaks/beside.h"

#include "blocks/stacks.h"
#include "check.h"
#include "entry/process.h"
#include "entry/route.h"
#include "findings/sink.h"
#include "leaks/answer.def"
#include "leaks/look.h"
#include "system/helper.h"
#include "system/kernel.h"
#include "system/os.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PAGES = 64,
    SMALL = 40,
    BALLAST = 2000,
    PLACES = 1000,
    MOVERS = 3,
    LARGE_ONES = 20,
    HUGE = 64 << 20,
    MUCH = 16 << 20,
    STEP = 32 << 10,
    REFUSED = 8 << 20,
    TRIES = 50,
    DEEP = 6 << 20,
    ROUNDS = 30 / CHECK_SLOWER
};

#define ENOUGH ((size_t)144 << 20) /* for a look to go on beside */
#define HIDDEN (~(uintptr_t)0)

static void *make(size_t size)
{
    void *block = mm_alloc(size);
    CHECK(block != NULL);
    return memset(block, 0, size);
}

/* A pointer that nobody else has: what is kept of it here is no pointer. */
static __attribute__((noinline)) uintptr_t take(size_t size)
{
    return (uintptr_t)make(size) ^ HIDDEN;
}

static __attribute__((noinline)) void drop(uintptr_t hidden)
{
    mm_free((void *)(hidden ^ HIDDEN), NULL); /* NOLINT */
}

static __attribute__((noinline)) void wipe(void)
{
    volatile char below[16384];
    for (size_t i = 0; i < sizeof below; i++)
        below[i] = 0;
}

static char *map(size_t size, int flags)
{
    char *start = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    CHECK(start != MAP_FAILED);
    return start;
}

/* --- a helper --- */

static struct helped {
    pid_t thread;
    int error;
    bool has_none;
    int kept;
} helped;

static void help(void *with)
{
    struct helped *told = with;
    told->thread = mm_kernel_thread_id();
    errno = EDOM;
    told->error = errno;
    told->has_none = mm_kernel_close(told->kept) != 0;
}

/* False where no thread can be one. */
static bool helps(void)
{
    struct mm_helper helper = {0};
    struct mm_signals signals = mm_os_block_signals();
    errno = 0;
    helped.kept = dup(STDERR_FILENO);
    bool has_started = mm_helper_start(&helper, help, &helped);
    if (has_started) {
        mm_helper_end(&helper);
        CHECK(helper.memory == NULL && helped.thread > 0 && helped.thread != mm_kernel_thread_id());
        CHECK(helped.error == EDOM && errno == 0);
        CHECK(helped.has_none);
    }
    CHECK(close(helped.kept) == 0); /* here it is open */
    mm_os_restore_signals(&signals);
    return has_started;
}

/* --- which pages are written to --- */

struct written {
    uintptr_t start;
    uint64_t pages;
};

static void note_pages(struct mm_range pages, void *with)
{
    struct written *written = with;
    size_t page = mm_os_page_size();
    for (uintptr_t at = pages.start; at < pages.end; at += page)
        written->pages |= (uint64_t)1 << (at - written->start) / page;
}

static uint64_t pages_written(const struct mm_writes *writes, const char *start, bool anew)
{
    struct written written = {(uintptr_t)start, 0};
    struct mm_writes_search search = {anew, SIZE_MAX - 1, note_pages, &written};
    struct mm_range all = {(uintptr_t)start, (uintptr_t)start + PAGES * mm_os_page_size()};
    struct mm_writes_count count = mm_writes_each(writes, all, &search);
    CHECK_EQUAL(count.watched + count.others, mm_bit_count(written.pages));
    CHECK(count.watched == 0 || count.others == 0);
    return written.pages;
}

static void watched(const struct mm_writes *writes)
{
    size_t page = mm_os_page_size(), size = PAGES * page;
    char *start = map(size, MAP_PRIVATE);
    struct mm_range all = {(uintptr_t)start, (uintptr_t)start + size};
    CHECK_EQUAL(pages_written(writes, start, true), 0); /* there are none */
    start[0] = start[5 * page] = start[63 * page] = 1;
    uint64_t first = (uint64_t)1 | 1 << 5 | (uint64_t)1 << 63;
    CHECK_EQUAL(pages_written(writes, start, true), first);
    CHECK_EQUAL(pages_written(writes, start, true), first); /* nobody watches */
    CHECK(mm_writes_watch(writes, (struct mm_range){all.start + 100, all.end - 100}));
    CHECK(mm_writes_forget(writes, all));
    CHECK_EQUAL(pages_written(writes, start, false), 0);
    start[5 * page + 17] = start[7 * page] = 1;
    uint64_t next = 1 << 5 | 1 << 7; /* a page that was not there, too */
    CHECK_EQUAL(pages_written(writes, start, false), next);
    CHECK_EQUAL(pages_written(writes, start, true), next);
    CHECK_EQUAL(pages_written(writes, start, true), 0);
    CHECK(madvise(start + 5 * page, page, MADV_DONTNEED) == 0);
    start[5 * page] = 1;
    CHECK_EQUAL(pages_written(writes, start, true), 1 << 5);
    CHECK(mprotect(start, page, PROT_READ) == 0 &&
          mprotect(start, page, PROT_READ | PROT_WRITE) == 0);
    CHECK_EQUAL(pages_written(writes, start, false), 0);
    start[0] = 2;
    CHECK_EQUAL(pages_written(writes, start, false), 1);
    mm_writes_unwatch(writes, all);
    CHECK_EQUAL(pages_written(writes, start, true), first | next);
    munmap(start, size);
}

/* --- pointers that move --- */

static uintptr_t places[MOVERS][PLACES]; /* of the program's data */
static _Atomic bool is_over;

/* From place to place, of data, blocks and the stack, and by way of registers alone. */
static void move(unsigned number, void *unused)
{
    uint64_t state = number;
    uintptr_t *mine = places[number];
    const struct timespec nap = {0, 20000};
    (void)unused;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        size_t from = check_below(&state, PLACES), to = check_below(&state, PLACES);
        uintptr_t *one = (uintptr_t *)mine[from], *other = (uintptr_t *)mine[to]; /* NOLINT */
        switch (check_below(&state, 5)) {
        case 0:
            mine[from] = mine[to];
            mine[to] = (uintptr_t)one;
            break;
        case 1: {
            uintptr_t below = one[0];
            one[0] = other[0];
            other[0] = below;
            break;
        }
        case 2:
            mine[from] = (uintptr_t)make(SMALL + check_below(&state, 100));
            ((uintptr_t *)mine[from])[0] = one[0]; /* NOLINT */
            mm_free(one, NULL);
            break;
        case 3: { /* on the stack alone for a while */
            volatile uintptr_t held = mine[from];
            mine[from] = 0;
            nanosleep(&nap, NULL);
            mine[from] = held;
            break;
        }
        default: /* or in a register */
            mine[from] = 0;
            nanosleep(&nap, NULL);
            mine[from] = (uintptr_t)one;
        }
    }
}

static void fill(void)
{
    for (size_t i = 0; i < (size_t)MOVERS * PLACES; i++) {
        uintptr_t *block = make(SMALL);
        block[0] = (uintptr_t)make(SMALL);
        places[i / PLACES][i % PLACES] = (uintptr_t)block;
    }
}

static void empty(void)
{
    for (size_t i = 0; i < (size_t)MOVERS * PLACES; i++) {
        uintptr_t *block = (uintptr_t *)places[i / PLACES][i % PLACES]; /* NOLINT */
        mm_free((void *)block[0], NULL);                                /* NOLINT */
        mm_free(block, NULL);
    }
    memset(places, 0, sizeof places);
}

static struct mm_look found;
static uintptr_t **ballast; /* by which the process is large */

static enum mm_look_result look_with(const struct mm_look_settings *settings)
{
    struct mm_here here;
    mm_here_take(&here);
    return mm_look(&found, settings, &here);
}

/* All that is found is the one block. */
static void check_found(uintptr_t lost)
{
    CHECK_EQUAL(found.count, lost != 0);
    CHECK(lost == 0 || (found.groups[0].first == (lost ^ HIDDEN) && found.groups[0].blocks == 1 &&
                        found.groups[0].mark == MM_MARK_DIRECT));
    mm_look_end(&found);
}

/* --- the marks, without what mm_look() does when they can't be had so --- */

static struct marking {
    struct mm_beside beside;
    struct mm_here here;
    bool is_done;
    uintptr_t first;
    size_t count;
} marking;

static void count(uintptr_t start, size_t size, enum mm_mark mark, void *with)
{
    struct marking *told = with;
    (void)size;
    told->first = start;
    told->count += mark == MM_MARK_DIRECT;
}

static void mark_beside(void *unused)
{
    (void)unused;
    marking.is_done = mm_beside_start(&marking.beside) && mm_beside_mark(&marking.beside);
    if (!marking.is_done)
        return;
    mm_marks_reached(&marking.beside.marks);
    mm_marks_classify(&marking.beside.marks);
    mm_marks_each(&marking.beside.marks, count, &marking);
    mm_beside_end(&marking.beside);
}

static bool try_to_mark(void)
{
    static _Atomic bool is_unwanted;
    static struct mm_stop stop;
    static const struct mm_roots_settings settings;
    struct mm_helper helper = {0};
    marking = (struct marking){.beside = {.roots_settings = &settings,
                                          .here = &marking.here,
                                          .waits = mm_os_thread_id(),
                                          .stop = &stop,
                                          .is_unwanted = &is_unwanted}};
    mm_here_take(&marking.here);
    struct mm_signals signals = mm_os_block_signals();
    if (mm_helper_start(&helper, mark_beside, NULL))
        mm_helper_end(&helper);
    mm_os_restore_signals(&signals);
    return marking.is_done;
}

/* Where others keep the processors busy it may give up, now and then. */
static void mark(uintptr_t lost)
{
    unsigned tries = TRIES;
    while (!try_to_mark())
        CHECK(--tries > 0);
    CHECK_EQUAL(marking.count, lost != 0);
    CHECK(lost == 0 || marking.first == (lost ^ HIDDEN));
}

/* --- what keeps it from being done --- */

static void stand_deep(void *with)
{
    _Atomic int *step = with;
    volatile char deep[DEEP];
    deep[0] = 1;
    *step = deep[0];
    while (*step == 1)
        check_yield();
}

static void block_all(void *with)
{
    _Atomic int *step = with;
    uint64_t all = UINT64_MAX, before;
    const struct timespec nap = {0, 1000000};
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all) == 0);
    *step = 1;
    while (*step == 1)
        nanosleep(&nap, NULL);
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof all) == 0);
}

struct beside_thread {
    void (*run)(void *with);
    _Atomic int step;
};

static void *run_beside(void *with)
{
    struct beside_thread *thread = with;
    thread->run((void *)&thread->step);
    return NULL;
}

static void fails_beside(void (*run)(void *with))
{
    struct beside_thread with = {run, 0};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run_beside, &with) == 0);
    while (with.step == 0)
        check_yield();
    CHECK(!try_to_mark());
    with.step = 2;
    pthread_join(thread, NULL);
}

/* Whatever becomes of it. */
static void is_ignored(void)
{
    uintptr_t lost = take(SMALL), lost_large = take((size_t)100 << 10);
    mm_stacks_ignore((void *)(lost ^ HIDDEN));       /* NOLINT */
    mm_stacks_ignore((void *)(lost_large ^ HIDDEN)); /* NOLINT */
    wipe();
    mark(0);
    drop(lost);
    drop(lost_large);
}

static void limit(__rlimit_resource_t resource, rlim_t most, bool may_be_done)
{
    struct rlimit all, some;
    CHECK(getrlimit(resource, &all) == 0);
    some = all;
    some.rlim_cur = most;
    CHECK(setrlimit(resource, &some) == 0);
    bool is_done = try_to_mark();
    CHECK(setrlimit(resource, &all) == 0);
    CHECK(may_be_done || !is_done);
}

static rlim_t address_space(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%ld", &pages) == 1);
    fclose(file);
    return (rlim_t)pages * mm_os_page_size();
}

/* Memory and descriptors that are refused, each in turn. */
static void is_refused(void)
{
    CHECK(try_to_mark());
    for (rlim_t most = 0; most < 2; most++)
        limit(RLIMIT_NOFILE, most, false);
    for (rlim_t most = 2; most < 6; most++)
        limit(RLIMIT_NOFILE, most, true);
    rlim_t there = address_space();
    limit(RLIMIT_AS, there, false);
    for (rlim_t more = STEP; more < REFUSED; more += STEP)
        limit(RLIMIT_AS, there + more, true);
    mark(0);
}

static void has_huge_pages(const struct mm_writes *writes)
{
    char *start = map(HUGE, MAP_PRIVATE);
    struct mm_range range = {(uintptr_t)start, (uintptr_t)start + HUGE};
    madvise(start, HUGE, MADV_HUGEPAGE);
    memset(start, 1, HUGE);
    size_t huge = mm_writes_huge(writes, range);
    CHECK(huge <= HUGE && (huge <= (size_t)32 << 20 || !try_to_mark()));
    munmap(start, HUGE);
}

/* A message queue; and a process that is too small to be worth it, or not. */
static void is_worth_it(bool is_large)
{
    struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 1};
    char name[64];
    CHECK_EQUAL(mm_beside_is_worth_it(), is_large);
    snprintf(name, sizeof name, "mm_unit_beside_%d", (int)getpid());
    long queue = syscall(SYS_mq_open, name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
    if (queue < 0)
        return;
    CHECK(syscall(SYS_mq_unlink, name) == 0);
    CHECK(!mm_beside_is_worth_it());
    close((int)queue);
}

static void is_kept_from_it(void)
{
    char *shared = map(DEEP, MAP_SHARED);
    CHECK(!try_to_mark());
    munmap(shared, DEEP);

    struct mm_writes of_others;
    char *watched = map(DEEP, MAP_PRIVATE);
    struct mm_range range = {(uintptr_t)watched, (uintptr_t)watched + DEEP};
    CHECK(mm_writes_start(&of_others) && mm_writes_watch(&of_others, range));
    CHECK(!mm_writes_watch(&(struct mm_writes){.watch_fd = -1, .pages_fd = -1}, range) ||
          errno == EBADF);
    CHECK(!try_to_mark());
    mm_writes_end(&of_others);
    munmap(watched, DEEP);

    fails_beside(stand_deep);
    fails_beside(block_all);
    is_ignored();
    mark(0);
}

/* --- larger blocks --- */

static uintptr_t *large[LARGE_ONES];

/* What is moved lies in larger blocks, each of which is soon freed, or grows, or can't be read for
 * a while; and in memory that comes to lie where one was. */
static void move_in_large(unsigned number, void *unused)
{
    const struct timespec nap = {0, 2000000};
    uint64_t state = 77 + number;
    size_t page = mm_os_page_size();
    (void)unused;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        size_t one = check_below(&state, LARGE_ONES);
        size_t size = ((size_t)70 << 10) + check_below(&state, (size_t)200 << 10);
        uintptr_t *made = make(size);
        made[0] = large[one][0];
        uintptr_t *before = large[one];
        large[one] = made;
        mm_free(before, NULL);
        char *second = (char *)mm_round_up((uintptr_t)made + page, page);
        if (check_below(&state, 4) == 0) {
            CHECK(mprotect(second, page, PROT_NONE) == 0);
            check_yield();
            CHECK(mprotect(second, page, PROT_READ | PROT_WRITE) == 0);
        }
        uintptr_t *alone = (uintptr_t *)map(page, MAP_PRIVATE);
        alone[3] = made[0];
        made[0] = 0;
        nanosleep(&nap, NULL); /* more than can be looked at would be written otherwise */
        made[0] = alone[3];
        munmap(alone, page);
    }
}

static void fill_large(void)
{
    for (size_t i = 0; i < LARGE_ONES; i++) {
        large[i] = make((size_t)100 << 10);
        large[i][0] = (uintptr_t)make(SMALL);
    }
}

static void empty_large(void)
{
    for (size_t i = 0; i < LARGE_ONES; i++) {
        mm_free((void *)large[i][0], NULL); /* NOLINT */
        mm_free(large[i], NULL);
        large[i] = NULL;
    }
}

static void look_often(void)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        uintptr_t lost = i % 2 == 0 ? take(SMALL) : 0;
        wipe();
        mark(lost);
        if (lost != 0)
            drop(lost);
    }
}

static void run(unsigned number, void *unused)
{
    if (number == MOVERS + 1) {
        move_in_large(number, unused);
        return;
    }
    if (number != 0) {
        move(number - 1, unused);
        return;
    }
    look_often();
    is_over = true;
}

/* --- what nobody waits for --- */

static enum mm_look_result begin(int asker)
{
    struct mm_look_settings settings = {.leaks = true, .in_copy = true, .asker = asker};
    return look_with(&settings);
}

static bool gave_up;

static void take_left(int asker, uintptr_t lost)
{
    enum mm_look_result result = MM_LOOK_BUSY;
    CHECK(!mm_look_take(asker + 1, &found, &result));
    bool is_taken = mm_look_take(asker, &found, &result);
    if (!is_taken) { /* the same; a copy does not give up */
        gave_up = true;
        CHECK_EQUAL(begin(asker), MM_LOOK_LATER);
        CHECK(mm_look_take(asker, &found, &result));
    }
    CHECK_EQUAL(result, MM_LOOK_DONE);
    check_found(lost);
}

/* Where a copy was made there is a child. */
static void begin_beside(int asker)
{
    CHECK_EQUAL(begin(asker), MM_LOOK_LATER);
    bool has_child = waitpid(-1, NULL, (int)__WALL | WNOHANG) != -1 || errno != ECHILD;
    CHECK(gave_up || !has_child);
}

/* The pipe of who asked is open until it is time to ask again. */
static void answered(uintptr_t lost)
{
    int ends[2];
    char said[2] = "";
    CHECK(pipe(ends) == 0 && mm_sink_divert(ends[1]));
    begin_beside(16);
    mm_sink_divert_leave();
    CHECK(read(ends[0], said, 2) == 1 && said[0] == MM_ANSWER_LATER);
    CHECK(read(ends[0], said, 2) == 0);
    close(ends[0]);
    take_left(16, lost);
}

/* By a sandbox that the program goes into meanwhile. */
static void is_killed(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    pid_t child = fork();
    if (child == 0) {
        enum mm_look_result result;
        begin_beside(20);
        CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) ==
              0);
        if (mm_look_take(20, &found, &result))
            mm_look_end(&found);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void left(void)
{
    uintptr_t lost = take(SMALL);
    wipe();
    answered(lost);
    is_killed();
    begin_beside(17);
    enum mm_look_result second = begin(23);
    CHECK(second == MM_LOOK_BUSY || second == MM_LOOK_DONE);
    mm_look_end(&found);
    take_left(17, lost);

    /* A child has nothing of it, and looks for itself. */
    begin_beside(18);
    pid_t child = fork();
    if (child == 0) {
        struct mm_look_settings at_exit = {.leaks = true};
        enum mm_look_result result;
        CHECK(!mm_look_take(18, &found, &result));
        CHECK_EQUAL(look_with(&at_exit), MM_LOOK_DONE);
        check_found(lost);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    take_left(18, lost);

    /* Who is about to end waits for no other; and the other is told to look anew. */
    begin_beside(19);
    struct mm_look_settings at_exit = {.leaks = true};
    CHECK_EQUAL(look_with(&at_exit), MM_LOOK_DONE);
    check_found(lost);
    take_left(19, lost);
    drop(lost);
}

int main(void)
{
    struct mm_process_config config = {.report = {.on_misuse = check_on_misuse, .most = UINT64_MAX},
                                       .batch_slots = MM_WORD_BITS,
                                       .slot_max = MM_SLOT_SIZE_MAX,
                                       .arena_size = (size_t)512 << 20,
                                       .stacks = {.frames = 4, .every = 1},
                                       .leaks = {.on = true}};
    struct mm_writes writes;
    CHECK(mm_process_start(&config));
    if (!helps() || !mm_writes_start(&writes)) {
        puts("skipped: no page is watched here");
        return 77;
    }
    watched(&writes);
    has_huge_pages(&writes);
    mm_writes_end(&writes);
    is_worth_it(false);
    is_refused();
    is_kept_from_it();
    fill();
    fill_large();
    check_in_threads(MOVERS + 2, run, NULL);
    for (size_t size = 0; size < ENOUGH; size += BALLAST) {
        uintptr_t **next = make(BALLAST);
        next[0] = (uintptr_t *)ballast;
        ballast = next;
    }
    is_worth_it(true);
    left();
    empty();
    empty_large();
    mm_process_stop();
    return 0;
}
