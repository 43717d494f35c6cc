/* draft.c - reports that are on their way for long: callbacks that wait, misuse in turn or never
 * return, readers that sleep. None is lost, and none waits for another. */
#include "findings/draft.h"

#include "check.h"
#include "findings/report.h"
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CAPACITY = 1 << 20, THREADS = 12, DEPTH = 60, TIMES = 20 + 180 / CHECK_SLOWER };

/* Below whatever programs and sanitizers map. */
#define WILD ((void *)(uintptr_t)0xBEEF0)

static struct check_pipe caught;
static _Atomic unsigned inside, told;
static _Thread_local jmp_buf back;
static _Thread_local unsigned depth;

static void start(mem_mngr_misuse_fn *on_misuse)
{
    struct mm_report_settings settings = {.on_misuse = on_misuse, .most = UINT64_MAX};
    mm_report_forget();
    mm_report_start(&settings);
    inside = told = 0;
}

static void misuse(void)
{
    mm_report(&(struct mm_misuse){
        .kind = MEM_MNGR_FOREIGN_FREE, .ptr = WILD, .caller = __builtin_return_address(0)});
}

static void check_report(const struct mem_mngr_misuse *misuse_of)
{
    CHECK(misuse_of->ptr == WILD);
    CHECK_EQUAL(strlen(misuse_of->report), misuse_of->report_size);
    CHECK(strstr(misuse_of->report, "ERROR: mmshim: foreign-free of 0xbeef0") != NULL);
    CHECK(strstr(misuse_of->report, "\nSUMMARY: mmshim: foreign-free") != NULL);
    atomic_fetch_add(&told, 1);
}

/* --- callbacks --- */

static void wait_for_all(const struct mem_mngr_misuse *misuse_of, void *user)
{
    (void)user;
    uint64_t give_up = mm_os_milliseconds() + 5000;
    atomic_fetch_add(&inside, 1);
    while (inside < THREADS) {
        CHECK(mm_os_milliseconds() < give_up);
        check_yield();
    }
    check_report(misuse_of);
}

static void misuse_in_thread(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    misuse();
}

static void that_wait(void)
{
    start(wait_for_all);
    check_in_threads(THREADS, misuse_in_thread, NULL);
    CHECK_EQUAL(told, THREADS);
}

static void misuse_in_turn(const struct mem_mngr_misuse *misuse_of, void *user)
{
    (void)user;
    if (++depth < DEPTH)
        misuse();
    depth--;
    check_report(misuse_of);
}

static void that_misuse(void)
{
    uint64_t before = mm_os_milliseconds();
    start(misuse_in_turn);
    misuse();
    CHECK_EQUAL(told, DEPTH);
    CHECK(mm_os_milliseconds() - before < 5000);
}

static size_t mapped_pages(void)
{
    size_t pages;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%zu", &pages) == 1);
    fclose(file);
    return pages;
}

static void leave(const struct mem_mngr_misuse *misuse_of, void *user)
{
    (void)user;
    check_report(misuse_of);
    longjmp(back, 1);
}

static void that_leave(void)
{
    uint64_t before = mm_os_milliseconds();
    start(leave);
    size_t pages = mapped_pages();
    for (volatile unsigned i = 0; i < TIMES; i++) {
        if (setjmp(back) == 0)
            misuse();
    }
    CHECK_EQUAL(told, TIMES);
    CHECK_EQUAL(mm_report_count(), TIMES);
    CHECK(mapped_pages() < pages + TIMES);
    CHECK(mm_os_milliseconds() - before < 5000);
}

static void end_thread(const struct mem_mngr_misuse *misuse_of, void *user)
{
    (void)user;
    check_report(misuse_of);
    pthread_exit(NULL);
}

static void that_end_the_thread(void)
{
    start(end_thread);
    check_in_threads(THREADS, misuse_in_thread, NULL);
    CHECK_EQUAL(told, THREADS);
    start(wait_for_all);
    check_in_threads(THREADS, misuse_in_thread, NULL);
    CHECK_EQUAL(told, THREADS);
}

/* --- readers --- */

/* Until nobody takes any more. */
static void fill_pipe(void)
{
    static char filler[4096];
    memset(filler, '.', sizeof filler);
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    CHECK(fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK) == 0);
    while (write(STDERR_FILENO, filler, sizeof filler) > 0)
        ;
    CHECK(fcntl(STDERR_FILENO, F_SETFL, flags) == 0);
}

static unsigned count(const char *text, const char *what)
{
    unsigned found = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        found++;
    return found;
}

static void take_in_thread(unsigned number, void *text)
{
    if (number < THREADS) {
        misuse();
        return;
    }
    sleep(11); /* longer than anybody is waited for */
    for (unsigned i = 0; i < 100; i++, usleep(20000)) {
        size_t length = strlen(text);
        check_pipe_take(&caught, (char *)text + length, CAPACITY - length);
    }
}

static void that_sleep(void)
{
    static char text[CAPACITY];
    start(NULL);
    fill_pipe();
    check_in_threads(THREADS + 1, take_in_thread, text);
    CHECK_EQUAL(count(text, "ERROR: mmshim: foreign-free of 0xbeef0"), THREADS);
    CHECK_EQUAL(count(text, "\nSUMMARY: mmshim: foreign-free"), THREADS);
    mm_report_summary();
    check_pipe_take(&caught, text, sizeof text);
    CHECK_EQUAL(count(text, "12 bad frees: 0 double, 0 interior, 12 foreign\n"), 1);
}

/* What nobody took is counted as not shown; it is waited for once, then not until it goes on. */
static void that_are_gone(void)
{
    static char text[CAPACITY];
    uint64_t before = mm_os_milliseconds();
    start(NULL);
    fill_pipe();
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    CHECK(fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK) == 0);
    for (unsigned i = 0; i < 3; i++)
        misuse();
    CHECK(mm_os_milliseconds() - before < 15000);
    check_pipe_take(&caught, text, sizeof text);
    misuse();
    mm_report_summary();
    check_pipe_take(&caught, text, sizeof text);
    CHECK(fcntl(STDERR_FILENO, F_SETFL, flags) == 0);
    CHECK_EQUAL(count(text, "\nSUMMARY: mmshim: foreign-free"), 1);
    CHECK_EQUAL(count(text, " 0 interior, 4 foreign; 3 not shown\n"), 1);
}

/* --- fork() --- */

/* All drafts are taken by threads that the child does not have. */
static void hold_drafts(unsigned number, void *unused)
{
    (void)unused;
    if (number > 0) {
        struct mm_draft *draft = mm_draft_take();
        atomic_fetch_add(&inside, 1);
        while (inside != THREADS)
            check_yield();
        mm_draft_give_back(draft);
        return;
    }
    while (inside != THREADS - 1)
        check_yield();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        size_t pages = mapped_pages();
        mm_draft_renew();
        struct mm_draft *draft = mm_draft_take();
        CHECK(draft != NULL && mapped_pages() == pages); /* one that is set aside */
        mm_draft_give_back(draft);
        _exit(3);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 3);
    atomic_fetch_add(&inside, 1);
}

static void in_a_child(void)
{
    inside = 0;
    check_in_threads(THREADS, hold_drafts, NULL);
}

/* Both wait for long, so they do it at the same time, each in a process of its own. */
static void readers(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    check_pipe_open(&caught, STDERR_FILENO);
    if (child == 0) {
        that_are_gone();
        check_pipe_close(&caught);
        exit(0);
    }
    that_sleep();
    check_pipe_close(&caught);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(void)
{
    check_pipe_open(&caught, STDERR_FILENO);
    that_wait();
    that_misuse();
    that_leave();
    that_end_the_thread();
    in_a_child();
    check_pipe_close(&caught);
    readers();
    return 0;
}
