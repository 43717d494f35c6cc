/* Threads that are started when the program has locked itself in: what a new thread calls is what
 * it calls with libc's malloc. */
#include "check.h"
#include "filter.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define THREADS 4
#define BLOCKS  300

/* Of libc: what its malloc calls, and what it takes to start a thread. */
static struct sock_filter filter[] = {
    ALLOW_MALLOC,
    ALLOW(SYS_rt_sigaction),
    ALLOW(SYS_clone),
#ifdef SYS_clone3
    ALLOW(SYS_clone3),
#endif
#ifdef SYS_rseq
    ALLOW(SYS_rseq),
#endif
    ALLOW(SYS_set_robust_list),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
};

static void say_and_die(int signal_number, siginfo_t *info, void *context)
{
    char text[] = "system call 0000 in a new thread\n";
    int number = info->si_syscall;

    (void)signal_number;
    (void)context;
    for (char *digit = strstr(text, "0000") + 3; number > 0; number /= 10)
        *digit-- = (char)('0' + number % 10);
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(2);
    _exit(1);
}

static pthread_key_t key;
static void *blocks[THREADS][BLOCKS];

static void ask_once_more(void *round)
{
    if ((size_t)round < PTHREAD_DESTRUCTOR_ITERATIONS)
        CHECK(pthread_setspecific(key, (char *)round + 1) == 0);
    free(hide(malloc(200)));
}

/* Frees what another has taken. */
static void *work(void *argument)
{
    unsigned number = *(unsigned *)argument, state = number;
    CHECK(pthread_setspecific(key, (char *)1) == 0);
    for (int round = 0; round < 20; round++) {
        void **row = blocks[(number + (unsigned)round) % THREADS];
        for (int i = 0; i < BLOCKS; i++) {
            free(__atomic_exchange_n(&row[i], NULL, __ATOMIC_ACQ_REL));
            void *block = malloc(next_random(&state) % 4000);
            free(__atomic_exchange_n(&row[i], block, __ATOMIC_ACQ_REL));
        }
    }
    return NULL;
}

static bool lock_in(void)
{
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    struct sigaction action = {.sa_sigaction = say_and_die, .sa_flags = SA_SIGINFO};

    return sigaction(SIGSYS, &action, NULL) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

static void run_threads(void)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void)
{
    CHECK(pthread_key_create(&key, ask_once_more) == 0);
    free(hide(malloc(100)));
    CHECK(mallopt(M_ARENA_MAX, 1) == 1); /* libc asks how many processors there are for a second */
    if (!lock_in()) {
        printf("skipped: process.sandboxed_threads (no filter can be set here: %s)\n",
               strerror(errno));
        return SKIPPED;
    }
    for (int i = 0; i < 10; i++)
        run_threads();
    return 0;
}
