/* stop.c - all other threads stand still, whatever they do and whatever the system does not tell,
 * and notice nothing. */
#include "leaks/stop.h"

#include "check.h"
#include "system/os.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COUNTERS = 3, STOPS = 20 / CHECK_SLOWER + 5 };

static struct mm_stop stop;
static _Atomic bool is_over;

static pthread_t start_thread(void *(*body)(void *with), void *with)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, with) == 0);
    return thread;
}

/* What /proc says of a thread, after `name`; nothing when it is gone. */
static char state_of(pid_t id)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
    int fd = open(path, O_RDONLY);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    const char *end = strrchr(text, ')');
    return end != NULL ? end[2] : ' ';
}

/* False: it does not come to it. */
static bool wait_for_state(pid_t id, char state)
{
    uint64_t give_up = mm_os_milliseconds() + 5000;
    while (state_of(id) != state) {
        if (mm_os_milliseconds() > give_up)
            return false;
        check_yield();
    }
    return true;
}

/* --- threads that count, and others that come and go --- */

static _Atomic uint64_t counts[COUNTERS];

static void *count(void *with)
{
    while (!is_over)
        atomic_fetch_add((_Atomic uint64_t *)with, 1);
    return NULL;
}

static void *end_at_once(void *unused)
{
    return unused;
}

static void *start_others(void *unused)
{
    while (!is_over)
        pthread_join(start_thread(end_at_once, NULL), NULL);
    return unused;
}

static void standing(void)
{
    pthread_t threads[COUNTERS + 1];
    uint64_t at[COUNTERS];
    is_over = false;
    for (int i = 0; i < COUNTERS; i++)
        threads[i] = start_thread(count, &counts[i]);
    threads[COUNTERS] = start_thread(start_others, NULL);
    for (int i = 0; i < STOPS; i++) {
        CHECK(mm_stop_others(&stop));
        CHECK(stop.is_whole);
        CHECK_EQUAL(stop.unsure, 0);
        CHECK(stop.count > COUNTERS);
        for (int each = 0; each < COUNTERS; each++)
            at[each] = counts[each];
        for (volatile int turns = 0; turns < 20000; turns++)
            ;
        for (int each = 0; each < COUNTERS; each++)
            CHECK_EQUAL(at[each], counts[each]);
        mm_stop_end(&stop);
    }
    is_over = true;
    for (int i = 0; i <= COUNTERS; i++)
        pthread_join(threads[i], NULL);
    /* A thread that is alone waits for nobody. */
    CHECK(mm_stop_others(&stop) && stop.count == 0);
    mm_stop_end(&stop);
}

/* --- calls that the signal interrupts --- */

struct sleeper {
    int ends[2];
    _Atomic pid_t id;
};

static void *wait_in_poll(void *with)
{
    struct sleeper *sleeper = with;
    struct pollfd what = {sleeper->ends[0], POLLIN, 0};
    sleeper->id = mm_os_thread_id();
    CHECK_EQUAL(poll(&what, 1, 600000), 1);
    return NULL;
}

static pthread_t start_sleeper(struct sleeper *sleeper, void *(*body)(void *with))
{
    CHECK(pipe(sleeper->ends) == 0);
    sleeper->id = 0;
    pthread_t thread = start_thread(body, sleeper);
    while (sleeper->id == 0)
        check_yield();
    return thread;
}

static void end_sleeper(struct sleeper *sleeper, pthread_t thread)
{
    CHECK(write(sleeper->ends[1], "", 1) == 1);
    pthread_join(thread, NULL);
    close(sleeper->ends[0]);
    close(sleeper->ends[1]);
}

/* Where only the list of threads can be read, they are known by their answers, and libc's code
 * tells what was interrupted. */
static void unknown_calls(void)
{
    struct sleeper sleeper;
    struct rlimit all, few;
    pthread_t thread = start_sleeper(&sleeper, wait_in_poll);
    wait_for_state(sleeper.id, 'S');
    CHECK(getrlimit(RLIMIT_NOFILE, &all) == 0);
    few = all;
    int lowest = dup(0);
    close(lowest);
    few.rlim_cur = (rlim_t)lowest + 1;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
#ifdef __x86_64__ /* elsewhere the call would end early */
    CHECK(mm_stop_others(&stop));
    CHECK(stop.unsure == 0 && mm_stop_find(&stop, sleeper.id)->home != 0);
    CHECK(!mm_stop_find(&stop, sleeper.id)->call.is_known);
    mm_stop_end(&stop);
#endif
    few.rlim_cur--;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    CHECK(!mm_stop_others(&stop));
    CHECK(setrlimit(RLIMIT_NOFILE, &all) == 0);
    CHECK(mm_stop_others(&stop) && mm_stop_find(&stop, 1 << 30) == NULL);
    CHECK(mm_stop_find(&stop, sleeper.id)->call.is_known);
    mm_stop_end(&stop);
    end_sleeper(&sleeper, thread);
}

/* Another handler, which takes its time. */
static void take_time(int signal, siginfo_t *info, void *context)
{
    uint64_t began = mm_os_milliseconds();
    (void)signal;
    (void)info;
    while (mm_os_milliseconds() < began + 50)
        check_yield();
    mm_stop_put_back(context, began);
}

/* Again and again, as nobody knows when the call has begun. */
static void *kill_it(void *with)
{
    while (!is_over) {
        pthread_kill(*(pthread_t *)with, SIGUSR1);
        poll(NULL, 0, 100); /* longer than the handler takes */
    }
    return NULL;
}

#ifdef __x86_64__
static long poll_for(int milliseconds)
{
    return poll(NULL, 0, milliseconds);
}

/* An argument is taken from the stack between its number and the call. */
static long pselect_for(int milliseconds)
{
    struct timespec most = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    return pselect(0, NULL, NULL, NULL, &most, NULL);
}
#endif

static long by_number(int milliseconds)
{
    struct timespec most = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    return syscall(SYS_ppoll, NULL, 0, &most, NULL, 0);
}

/* How long a call takes that is interrupted; -1: it ended early. */
static int64_t interrupted(long (*call)(int milliseconds), int milliseconds)
{
    is_over = false;
    uint64_t began = mm_os_milliseconds();
    pthread_t self = pthread_self(), killer = start_thread(kill_it, &self);
    long result = call(milliseconds);
    bool is_early = result == -1 && errno == EINTR;
    is_over = true;
    pthread_join(killer, NULL);
    return is_early ? -1 : (int64_t)(mm_os_milliseconds() - began);
}

static void put_back(void)
{
    struct sigaction action = {.sa_sigaction = take_time, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    CHECK_EQUAL(interrupted(by_number, 100000), -1); /* its code tells nothing */
#ifdef __x86_64__
    CHECK(interrupted(poll_for, 300) >= 300);
    CHECK(interrupted(poll_for, 30) >= 30); /* less than the handler takes */
    CHECK(interrupted(pselect_for, 300) >= 300);
#endif
    raise(SIGUSR1); /* nothing is interrupted */
}

/* --- threads that can't be asked --- */

static void *block_even_this(void *with)
{
    struct sleeper *sleeper = with;
    uint64_t all = UINT64_MAX;
    char c;
    CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all) == 0);
    sleeper->id = mm_os_thread_id();
    CHECK(read(sleeper->ends[0], &c, 1) == 1);
    return NULL;
}

static void unasked(void)
{
    struct sleeper sleeper;
    pthread_t thread = start_sleeper(&sleeper, block_even_this);
    CHECK(mm_stop_others(&stop));
    CHECK(stop.is_whole && stop.unsure == 1);
    CHECK(mm_stop_find(&stop, sleeper.id)->state == MM_THREAD_UNASKED);
    mm_stop_end(&stop);
    end_sleeper(&sleeper, thread);
}

/* In vfork() a thread hears no signal until its child goes on. */
static void *wait_in_vfork(void *with)
{
    struct sleeper *sleeper = with;
    char c;
    sleeper->id = mm_os_thread_id();
    pid_t child = vfork();
    if (child == 0) {
        while (read(sleeper->ends[0], &c, 1) != 1)
            ;
        _exit(0);
    }
    CHECK(child > 0);
    return NULL;
}

/* Is restarted when libc's own handler returns. */
static void *wait_in_read(void *with)
{
    struct sleeper *sleeper = with;
    char c;
    sleeper->id = mm_os_thread_id();
    CHECK_EQUAL(read(sleeper->ends[0], &c, 1), 1);
    return NULL;
}

/* Libc's own use of the signal reaches all threads while one still is to answer. */
static void late(void)
{
    struct sleeper sleeper, other;
    pthread_t thread = start_sleeper(&sleeper, wait_in_vfork);
    if (wait_for_state(sleeper.id, 'D')) {
        CHECK(mm_stop_others(&stop));
        CHECK_EQUAL(stop.unsure, 1);
        CHECK(mm_stop_find(&stop, sleeper.id)->state == MM_THREAD_ASKED);
        mm_stop_end(&stop);
    }
    end_sleeper(&sleeper, thread);
    thread = start_sleeper(&other, wait_in_read);
    wait_for_state(other.id, 'S');
    CHECK(setgid(getgid()) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(mm_stop_others(&stop) && stop.unsure == 0);
        mm_stop_end(&stop);
    }
    CHECK(setgid(getgid()) == 0);
    end_sleeper(&other, thread);
}

/* --- a child is made while they stand --- */

static void forked(void)
{
    struct sleeper sleeper;
    int status;
    pthread_t thread = start_sleeper(&sleeper, wait_in_poll);
    CHECK(mm_stop_others(&stop) && stop.unsure == 0);
    pid_t child = fork();
    if (child == 0) {
        struct mm_stop own;
        uint64_t began = mm_os_milliseconds();
        mm_stop_renew();
        CHECK(mm_stop_others(&own));
        mm_stop_end(&own);
        CHECK(mm_os_milliseconds() - began < 1000);
        _exit(0);
    }
    mm_stop_end(&stop);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    end_sleeper(&sleeper, thread);
}

/* --- memory that is refused --- */

static void refused(void)
{
    struct sleeper sleeper;
    pthread_t thread = start_sleeper(&sleeper, wait_in_poll);
    struct rlimit all, none;
    CHECK(getrlimit(RLIMIT_AS, &all) == 0);
    none = all;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_AS, &none) == 0);
    bool is_stopped = mm_stop_others(&stop);
    CHECK(setrlimit(RLIMIT_AS, &all) == 0);
#ifndef CHECK_EMULATED /* which refuses nothing */
    CHECK(!is_stopped);
#endif
    if (is_stopped)
        mm_stop_end(&stop);
    end_sleeper(&sleeper, thread);
}

/* --- the first thread is gone --- */

static void *look_last(void *unused)
{
    wait_for_state(getpid(), 'Z');
    CHECK(mm_stop_others(&stop));
    CHECK(stop.unsure == 0 && mm_stop_find(&stop, getpid())->state == MM_THREAD_GONE);
    mm_stop_end(&stop);
    exit(0);
    return unused;
}

/* A handler that TSan does not know of also comes where it has no state for the thread yet, or no
 * more, and then its own calls in front of ours crash. */
#ifdef __SANITIZE_THREAD__
#define IS_UNDER_TSAN true
#else
#define IS_UNDER_TSAN false
#endif

int main(void)
{
    if (IS_UNDER_TSAN)
        return 77;
    standing();
    unknown_calls();
    put_back();
    unasked();
    late();
    forked();
    refused();
    pthread_detach(start_thread(look_last, NULL));
    pthread_exit(NULL);
}
