/* faults.c - a program's life in small, lived once for each call that the core makes of the system:
 * with that call failing, with all from that one on failing, and with calls failing at random.
 * Whatever fails, a request gets its block or NULL with ENOMEM, no block is lost, spoilt or given
 * twice, each bad free is counted, and once the system is well again so is the manager. */
#include "check.h"
#include "check_state.h"
#include "findings/report.h"
#include "forwarded/registry.h"
#include "seam.h"
#include "slots/guarded.h"
#include "slots/heap.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { BLOCKS = 600, THREAD_BLOCKS = 40 };
/* Of each kind the first calls, then one in many: they are the same over and over. */
enum { CALLS_ONE_BY_ONE = CHECK_SLOWER > 1 ? 3 : 30, STRIDE = 211, SEEDS = 100 / CHECK_SLOWER };

struct block {
    unsigned char *ptr; /* NULL: refused, or freed */
    size_t size;
    unsigned char fill;
};
static struct block blocks[BLOCKS];
static struct block blocks_of_thread[THREAD_BLOCKS];

static const size_t sizes[] = {1, 16, 40, 100, 200, 1000, 1024, 5000, 20000, 32768, 32769, 40000};
#define SIZES (sizeof sizes / sizeof sizes[0])

static bool in_arena(const void *ptr)
{
    return mm_arena_has((uintptr_t)ptr);
}

/* --- requests --- */

static void check_refused(void)
{
    CHECK_EQUAL(errno, ENOMEM);
}

static void *ask(unsigned number, size_t size)
{
    switch (number % 4) {
    case 0:
        return mem_mngr_calloc(1, size);
    case 1:
        return mem_mngr_aligned_alloc((size_t)16 << number % 9, size);
    case 2:
        return mem_mngr_realloc(NULL, size);
    default:
        return mem_mngr_alloc(size);
    }
}

static void allocate(struct block *block, unsigned number)
{
    size_t size = sizes[number * 7 % SIZES];
    errno = 0;
    unsigned char *ptr = ask(number, size);
    *block = (struct block){ptr, size, (unsigned char)(number % 255 + 1)};
    if (ptr == NULL) {
        check_refused();
        return;
    }
    CHECK(number % 4 != 0 || check_all_bytes(ptr, size, 0));
    CHECK(mem_mngr_usable_size(ptr) >= size || !in_arena(ptr));
    memset(ptr, block->fill, size);
}

static void resize(struct block *block, size_t size)
{
    if (block->ptr == NULL)
        return;
    errno = 0;
    unsigned char *ptr = mem_mngr_realloc(block->ptr, size);
    if (ptr == NULL) {
        check_refused();
        return;
    }
    CHECK(check_all_bytes(ptr, size < block->size ? size : block->size, block->fill));
    *block = (struct block){ptr, size, block->fill};
    memset(ptr, block->fill, size);
}

static void release(struct block *block)
{
    if (block->ptr == NULL)
        return;
    CHECK(check_all_bytes(block->ptr, block->size, block->fill));
    errno = EXDEV;
    mem_mngr_free(block->ptr);
    CHECK_EQUAL(errno, EXDEV);
    block->ptr = NULL;
}

static void release_all(void)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        release(&blocks[i]);
    for (unsigned i = 0; i < THREAD_BLOCKS; i++)
        release(&blocks_of_thread[i]);
}

/* --- misuse --- */

static unsigned bad_frees;

static void free_badly(void *ptr)
{
    errno = EXDEV;
    mem_mngr_free(ptr);
    CHECK_EQUAL(errno, EXDEV);
    CHECK_EQUAL(mm_report_count(), ++bad_frees);
}

/* Never a pointer that a manager without a registry would have to take on trust: it then knows
 * slots only, and that no block starts at an odd address. */
static void misuse(const struct block *block)
{
    static char global[64];
    free_badly(global + 1);
    free_badly((void *)1);
    if (block->ptr == NULL)
        return;
    free_badly(block->ptr + 1);
    if (in_arena(block->ptr)) {
        unsigned char *again = block->ptr;
        mem_mngr_free(mem_mngr_realloc(again, 0));
        free_badly(again);
    }
}

/* --- a second thread, and what the first does while it is there --- */

static char *stack_of_main;

static void second_thread(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    for (unsigned i = 0; i < THREAD_BLOCKS; i++)
        allocate(&blocks_of_thread[i], i);
    for (unsigned i = 0; i < BLOCKS; i += 3)
        release(&blocks[i]);
    free_badly(stack_of_main + 1);
}

static _Atomic bool inside;

/* One forwards a block, and takes its time until the other, who closes the gates as a fork() does,
 * has been seen to wait. */
static void wait_at_gates(unsigned number, void *unused)
{
    (void)unused;
    if (number == 0) {
        unsigned before = seam_count(SEAM_sched_yield);
        struct mm_gate *gate = mm_registry_enter();
        atomic_store(&inside, true);
        while (seam_count(SEAM_sched_yield) < before + 3)
            usleep(100);
        mm_registry_leave(gate);
        return;
    }
    while (!atomic_load(&inside))
        check_yield();
    mm_registry_close();
    mm_registry_open();
}

static void close_gates(void)
{
    atomic_store(&inside, false);
    check_in_threads(2, wait_at_gates, NULL);
}

/* --- files and programs, of which reports make use --- */

static int open_files(void)
{
    int next = dup(STDIN_FILENO);
    CHECK(next >= 0 && close(next) == 0);
    return next;
}

/* Made by main(): a log, and a socket that somebody listens at. */
static char log_path[] = "/tmp/mmshim-faults-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int listener;

/* A log at its limit, and a datagram. */
static void use_logs(void)
{
    static char word[] = "a word", received[16];
    struct iovec part = {word, sizeof word};
    struct rlimit before, small;
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small = (struct rlimit){3, before.rlim_max};
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    int log = mm_os_open_append(log_path);
    if (log >= 0) {
        struct mm_os_file_id id = mm_os_file_id(log);
        CHECK(!mm_os_append(&id, log, log_path, "a line\n", 7));
        mm_os_close(log);
    }
    errno = ENOTTY;
    mm_os_map_mark(log_path, 3);
    CHECK_EQUAL(errno, ENOTTY);
    CHECK(!mm_os_add_line(log_path, "a line\n", 7));
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0 && truncate(log_path, 0) == 0);
    bool sent = mm_os_send(address.sun_path, &part, 1);
    ssize_t length = recv(listener, received, sizeof received, MSG_DONTWAIT);
    CHECK_EQUAL(length, sent ? (ssize_t)sizeof word : -1);
}

static void make_log(void)
{
    signal(SIGXFSZ, SIG_IGN); /* where signals can't be blocked */
    int log = mkstemp(log_path);
    listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(log >= 0 && close(log) == 0 && listener >= 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s.socket", log_path);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
}

static void remove_log(void)
{
    CHECK(close(listener) == 0 && unlink(address.sun_path) == 0 && unlink(log_path) == 0);
}

static void use_files(void)
{
    static char stack[32 << 10], output[64], name[MM_HOST_NAME];
    static const char *const arguments[] = {"echo", "a word", NULL}, *const environment[] = {NULL};
    struct mm_os_command command = {
        .path = "/bin/echo",
        .arguments = arguments,
        .environment = environment,
        .stack = stack,
        .stack_size = sizeof stack,
        .output = output,
        .output_size = sizeof output,
        .give_up = mm_os_milliseconds() + 1000,
    };
    int before = open_files();
    size_t length;
    int log = mm_os_open_append("/dev/null");
    if (log >= 0) {
        mm_os_write(log, "a line\n", 7);
        mm_os_close(log);
    }
    int program = mm_os_open_read("/proc/self/exe");
    if (program >= 0) {
        mm_os_file_id(program);
        mm_os_close(program);
    }
    mm_os_read_file("/proc/self/comm", &length);
    use_logs();
    mm_os_host_name(name);
    CHECK(memchr(name, '\0', sizeof name) != NULL);
    if (mm_os_may_execute(command.path)) {
        struct mm_signals signals = mm_os_block_signals();
        CHECK(!mm_os_run(&command, &length) || length == 0 || memcmp(output, "a word\n", 7) == 0);
        mm_os_restore_signals(&signals);
    }
    CHECK_EQUAL(open_files(), before);
}

/* --- guarded slots --- */

enum { PAGE = 65536 }; /* the largest that the system may have */

/* What is refused is not closed, or stays so; what is open has what was in it, or nothing. */
static void use_guarded_slot(size_t size)
{
    struct mm_guarded_slot slot;
    if (!mm_guarded_take(size, 16, true, &slot))
        return;
    mm_guarded_place(&slot, size, 16, false);
    char *block = (char *)slot.block;
    memset(block, 'x', size);
    mm_guarded_hand_out(&slot);
    CHECK(mm_guarded_strike(&slot));
    mm_guarded_close(&slot);
    if (mm_guarded_open(slot.block) && mm_os_is_readable(block))
        CHECK(block[0] == 'x' || block[0] == '\0');
}

/* Also where the kernel has no markers. */
static void move_page(void)
{
    char *from = mm_os_map(PAGE), *to = mm_os_map(PAGE);
    if (from != NULL)
        from[0] = 'x';
    if (from != NULL && to != NULL && mm_os_move(from, to, PAGE)) {
        CHECK(to[0] == 'x');
        from = NULL;
    }
    if (from != NULL)
        mm_os_release(from, PAGE);
    if (to != NULL)
        mm_os_release(to, PAGE);
}

static void use_guarded_slots(void)
{
    struct mm_guarded_settings settings = {.least = (size_t)8 * PAGE, .marks = true, .few = 4};
    mm_guarded_start(&settings);
    for (unsigned i = 0; i < 10; i++)
        use_guarded_slot(100 + i);
    mm_guarded_stop();
    move_page();
}

/* --- a life --- */

/* Enough of it for memory to go back. */
static void breathe(void)
{
    struct block wide[100];
    for (unsigned i = 0; i < 100; i++) {
        wide[i] = (struct block){mem_mngr_alloc(20000), 20000, 5};
        if (wide[i].ptr != NULL)
            memset(wide[i].ptr, wide[i].fill, wide[i].size);
    }
    for (unsigned i = 0; i < 100; i++)
        release(&wide[i]);
    mm_heap_trim();
    mm_arena_trim();
}

static size_t live_slots(void)
{
    size_t live = 0;
    for (unsigned i = 0; i < BLOCKS; i++)
        live += blocks[i].ptr != NULL && in_arena(blocks[i].ptr);
    for (unsigned i = 0; i < THREAD_BLOCKS; i++)
        live += blocks_of_thread[i].ptr != NULL && in_arena(blocks_of_thread[i].ptr);
    return live;
}

static void live_on(void)
{
    char here[16] = {0};
    stack_of_main = here;
    errno = 0;
    if (mem_mngr_init() != 0)
        check_refused();
    for (unsigned i = 0; i < BLOCKS; i++)
        allocate(&blocks[i], i);
    for (unsigned i = 0; i < BLOCKS; i += 5)
        resize(&blocks[i], sizes[i % SIZES]);
    check_in_threads(1, second_thread, NULL);
    misuse(&blocks[7]);
    blocks[7].ptr = in_arena(blocks[7].ptr) ? NULL : blocks[7].ptr;
    close_gates();
    use_files();
    use_guarded_slots();
    breathe();
    mem_mngr_print_snapshot();
    CHECK_EQUAL(check_state().live, live_slots());
}

/* The system is well again: all that was there still is, requests are met, and once all is freed
 * nothing is left. */
static void recover(void)
{
    seam_heal();
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i].ptr == NULL)
            allocate(&blocks[i], i);
        CHECK(blocks[i].ptr != NULL);
    }
    CHECK_EQUAL(check_state().live, live_slots());
    release_all();
    CHECK_EQUAL(check_state().live, 0);
    CHECK_EQUAL(mm_report_count(), bad_frees);
}

/* As if nothing had been. */
static void start_anew(void)
{
    mem_mngr_leave();
    mm_report_forget();
    bad_frees = 0;
    CHECK_EQUAL(mem_mngr_init(), 0);
    void *slot = mem_mngr_alloc(100);
    CHECK(slot != NULL && in_arena(slot));
    mem_mngr_free(slot);
    CHECK_EQUAL(mem_mngr_leave(), 0);
}

static struct check_pipe caught;

static void live(const char *what, unsigned number, const char *how)
{
    static char text[1 << 16];
    dprintf(caught.original, "%s %u%s\n", what, number, how);
    live_on();
    recover();
    start_anew();
    check_pipe_take(&caught, text, sizeof text);
}

/* --- what fails --- */

static void each_call(enum seam_call call, unsigned count)
{
    for (unsigned nth = 1; nth <= count; nth += nth < CALLS_ONE_BY_ONE ? 1 : STRIDE) {
        seam_fail(call, nth, false, 0);
        live(seam_name(call), nth, "");
        seam_fail(call, nth, true, 0);
        live(seam_name(call), nth, " and all after it");
    }
}

/* Every kind of call is made at least once. */
static void one_by_one(void)
{
    unsigned counts[SEAM_CALLS];
    seam_heal();
    live_on();
    for (unsigned call = 0; call < SEAM_CALLS; call++)
        counts[call] = seam_count((enum seam_call)call);
    recover();
    for (unsigned call = 0; call < SEAM_CALLS; call++)
        counts[call] += seam_count((enum seam_call)call);
    start_anew();
    counts[SEAM_mm_kernel_munmap] += seam_count(SEAM_mm_kernel_munmap);
    for (unsigned call = 0; call < SEAM_CALLS; call++) {
        dprintf(caught.original, "%s: %u calls\n", seam_name((enum seam_call)call), counts[call]);
        CHECK(counts[call] > 0);
        each_call((enum seam_call)call, counts[call]);
    }
}

static void at_random(void)
{
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        unsigned one_in = 2 + seed % 40;
        seam_fail_at_random(one_in, seed * UINT64_C(1000000));
        live("at random, seed", seed, "");
    }
}

/* A system that goes on refusing is asked ever less often, and again once it may have changed its
 * mind. */
static void patience(void)
{
    CHECK_EQUAL(mem_mngr_init(), 0);
    mem_mngr_free(mem_mngr_alloc(100000)); /* the registry's part is there already */
    seam_fail(SEAM_mm_kernel_mprotect, 1, true, 0);
    void *list = NULL;
    for (unsigned i = 0; i < 20000; i++) {
        void **block = mem_mngr_alloc(500);
        CHECK(block != NULL);
        *block = list;
        list = block;
    }
    CHECK(seam_count(SEAM_mm_kernel_mprotect) > 10 && seam_count(SEAM_mm_kernel_mprotect) < 100);
    seam_heal();
    for (unsigned i = 0; i < 10000; i++) {
        void **block = mem_mngr_alloc(500);
        *block = list;
        list = block;
    }
    CHECK(in_arena(list));
    for (void *next; list != NULL; list = next) {
        next = *(void **)list;
        mem_mngr_free(list);
    }
    CHECK_EQUAL(mem_mngr_leave(), 0);
}

/* An interrupted call is made again, and the report comes whole. */
static void interrupted(void)
{
    static const enum seam_call calls[] = {SEAM_mm_kernel_write, SEAM_mm_kernel_read,
                                           SEAM_sigtimedwait};
    for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        char text[1 << 13];
        CHECK_EQUAL(mem_mngr_init(), 0);
        seam_fail(calls[i], 1, false, EINTR);
        free_badly(&text[1]);
        CHECK_EQUAL(seam_count(SEAM_mm_kernel_write), calls[i] == SEAM_mm_kernel_write ? 2 : 1);
        seam_heal();
        check_pipe_take(&caught, text, sizeof text);
        CHECK(strstr(text, "stack of this thread") != NULL);
        CHECK(strstr(text, "SUMMARY: mmshim: foreign-free") != NULL);
        start_anew();
        check_pipe_take(&caught, text, sizeof text);
    }
}

int main(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    CHECK(dup2(nowhere, STDOUT_FILENO) == STDOUT_FILENO);
    check_pipe_open(&caught, STDERR_FILENO);
    make_log();
    one_by_one();
    at_random();
    interrupted();
    patience();
    check_pipe_close(&caught);
    remove_log();
    return 0;
}
