/* waits.c - a thread in each call that a handler's end does not restart (signal(7)), and in others
 * that wait: many looks stop them all, and none of the calls ends early. Two threads allocate
 * meanwhile, one blocks all signals. With an argument the process is large. */
#include "planted.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

size_t mem_mngr_leaks(void) __attribute__((weak));

enum { LOOKS = 50, LONG = 600 /* seconds */, FEW = 12, LARGE = 144 << 20, PART = 10000 };

static int silent[2], queue, semaphores;
static sem_t semaphore;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static sigset_t no_signals, one_signal, most_signals;
static const struct timespec rest = {.tv_sec = LONG};

static long in_epoll_wait(void)
{
    struct epoll_event event;
    return epoll_wait(epoll_create1(0), &event, 1, -1);
}

static long in_epoll_wait_with_time(void)
{
    struct epoll_event event;
    return epoll_wait(epoll_create1(0), &event, 1, LONG * 1000);
}

static long in_epoll_pwait(void)
{
    struct epoll_event event;
    return epoll_pwait(epoll_create1(0), &event, 1, -1, &no_signals);
}

static long in_poll(void)
{
    struct pollfd what = {silent[0], POLLIN, 0};
    return poll(&what, 1, LONG * 1000);
}

static long in_ppoll(void)
{
    struct pollfd what = {silent[0], POLLIN, 0};
    return ppoll(&what, 1, &rest, &no_signals);
}

static long in_select(void)
{
    struct timeval most = {.tv_sec = LONG};
    fd_set what;
    FD_ZERO(&what);
    FD_SET(silent[0], &what);
    return select(silent[0] + 1, &what, NULL, NULL, &most);
}

static long in_nanosleep(void)
{
    struct timespec left = rest;
    return nanosleep(&left, &left);
}

static long in_nanosleep_without_rest(void)
{
    return nanosleep(&rest, NULL);
}

static long in_clock_nanosleep(void)
{
    return clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, NULL);
}

static long in_sleep(void)
{
    return sleep(LONG);
}

static long in_pause(void)
{
    return pause();
}

static long in_sigsuspend(void)
{
    return sigsuspend(&no_signals);
}

static long in_sigwaitinfo(void)
{
    siginfo_t info;
    return sigwaitinfo(&one_signal, &info);
}

static long in_sigtimedwait(void)
{
    siginfo_t info;
    return sigtimedwait(&most_signals, &info, &rest);
}

static long in_recv_with_time(void)
{
    int ends[2];
    char c;
    struct timeval most = {.tv_sec = LONG};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return -1;
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    return recv(ends[0], &c, 1, 0);
}

static long in_accept_with_time(void)
{
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    struct timeval most = {.tv_sec = LONG};
    struct sockaddr address = {.sa_family = AF_UNIX};
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    if (bind(listener, &address, sizeof(sa_family_t)) != 0 || listen(listener, 1) != 0)
        return -1;
    return accept(listener, NULL, NULL);
}

static long in_msgrcv(void)
{
    struct {
        long type;
        char text[8];
    } message;
    return msgrcv(queue, &message, sizeof message.text, 0, 0);
}

static long in_semop(void)
{
    struct sembuf take_one = {0, -1, 0};
    return semop(semaphores, &take_one, 1);
}

static long in_semtimedop(void)
{
    struct sembuf take_one = {0, -1, 0};
    return semtimedop(semaphores, &take_one, 1, &rest);
}

static long in_sem_wait(void)
{
    return sem_wait(&semaphore);
}

static long in_cond_timedwait(void)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += LONG;
    pthread_mutex_lock(&mutex);
    return pthread_cond_timedwait(&condition, &mutex, &end);
}

static long in_read(void)
{
    char c;
    return read(silent[0], &c, 1);
}

static long in_a_call_by_number(void)
{
    return syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}

#ifdef SYS_nanosleep
static long in_nanosleep_by_number(void)
{
    struct timespec left = rest;
    return syscall(SYS_nanosleep, &left, &left);
}

static long in_nanosleep_by_number_without_rest(void)
{
    return syscall(SYS_nanosleep, &rest, NULL);
}
#endif

static long with_all_blocked(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    return poll(NULL, 0, -1);
}

static _Noreturn long allocating(void)
{
    for (;;)
        free(hidden(malloc(100)));
}

static const struct wait {
    const char *name;
    long (*in)(void);
} waits[] = {
    {"epoll_wait", in_epoll_wait},
    {"epoll_wait with a time", in_epoll_wait_with_time},
    {"epoll_pwait", in_epoll_pwait},
    {"poll", in_poll},
    {"ppoll", in_ppoll},
    {"select", in_select},
    {"nanosleep", in_nanosleep},
    {"nanosleep without rest", in_nanosleep_without_rest},
    {"clock_nanosleep", in_clock_nanosleep},
    {"sleep", in_sleep},
    {"pause", in_pause},
    {"sigsuspend", in_sigsuspend},
    {"sigwaitinfo", in_sigwaitinfo},
    {"sigtimedwait", in_sigtimedwait},
    {"recv with a time", in_recv_with_time},
    {"accept with a time", in_accept_with_time},
    {"msgrcv", in_msgrcv},
    {"semop", in_semop},
    {"semtimedop", in_semtimedop},
    {"sem_wait", in_sem_wait},
    {"pthread_cond_timedwait", in_cond_timedwait},
    {"read", in_read},
    {"a call by its number", in_a_call_by_number},
#ifdef SYS_nanosleep
    {"nanosleep by its number", in_nanosleep_by_number},
    {"nanosleep by its number without rest", in_nanosleep_by_number_without_rest},
#endif
    {"poll with all signals blocked", with_all_blocked},
    {"malloc", allocating},
    {"malloc", allocating},
};
#define WAITS (sizeof waits / sizeof waits[0])

static _Atomic int is_over;

static void leave(int status)
{
    is_over = 1;
    msgctl(queue, IPC_RMID, NULL);
    semctl(semaphores, 0, IPC_RMID);
    exit(status);
}

static void *wait_in(void *with)
{
    const struct wait *wait = with;
    long result = wait->in();
    while (is_over)
        pause();
    fprintf(stderr, "%s ended: %ld, errno %d\n", wait->name, result, errno);
    leave(1);
    return NULL;
}

/* All stay in their calls for a while, as far as the machine lets them. */
static void rest_a_little(void)
{
    struct pollfd none = {-1, 0, 0};
    poll(&none, 1, 2);
}

static void **ballast;

/* So large that a look goes on beside it. */
static void grow(void)
{
    for (size_t size = 0; size < LARGE; size += PART) {
        void **next = take(PART);
        next[0] = (void *)ballast;
        ballast = next;
    }
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        grow();
    if (pipe(silent) != 0 || sem_init(&semaphore, 0, 0) != 0)
        return 2;
    queue = msgget(IPC_PRIVATE, 0600);
    semaphores = semget(IPC_PRIVATE, 1, 0600);
    sigemptyset(&no_signals);
    sigemptyset(&one_signal);
    sigaddset(&one_signal, SIGUSR2);
    sigfillset(&most_signals);
    pthread_sigmask(SIG_BLOCK, &one_signal, NULL);
    for (size_t i = 0; i < WAITS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, wait_in, (void *)(uintptr_t)&waits[i]) != 0)
            return 2;
    }
    struct pollfd none = {-1, 0, 0};
    poll(&none, 1, 200);
    size_t leaks = 0;
    for (int i = 0; i < (argc > 1 ? FEW : LOOKS); i++) {
        leaks += mem_mngr_leaks != NULL ? mem_mngr_leaks() : 1;
        rest_a_little();
    }
    if (leaks != 0)
        fprintf(stderr, "%zu leaks\n", leaks);
    leave(leaks != 0);
}
