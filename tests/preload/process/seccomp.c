/* A program that locks itself in after it warmed up: from then on an allocator that makes a system
 * call of a kind that libc's does not make would end it. */
#include "check.h"
#include "filter.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define THREADS 4
#define BLOCKS  2000

static struct sock_filter filter[] = {
    ALLOW_MALLOC,
    ALLOW(SYS_rt_sigreturn),
    ALLOW(SYS_getpid), /* where guarded slots are looked at at the exit: whose memory it is */
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
};

static pthread_barrier_t warm;
static pthread_barrier_t locked_in;
static pthread_barrier_t done;
static void *blocks[THREADS + 1][BLOCKS]; /* the last row is the main thread's */

static void say_and_die(int signal_number, siginfo_t *info, void *context)
{
    char text[] = "system call 0000 after warm-up\n";
    int number = info->si_syscall;

    (void)signal_number;
    (void)context;
    for (char *digit = strstr(text, "0000") + 3; number > 0; number /= 10)
        *digit-- = (char)('0' + number % 10);
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(2);
    _exit(1);
}

static size_t some_size(unsigned *state)
{
    size_t limit = next_random(state) % 200 == 0  ? 3000000
                   : next_random(state) % 10 == 0 ? 60000
                                                  : 1500;

    return next_random(state) % limit;
}

static void replace(void **block, unsigned *state)
{
    size_t size = some_size(state);

    if (next_random(state) % 8 == 0) {
        *block = realloc(*block, size + 1);
    } else {
        free(*block);
        *block = next_random(state) % 8 == 0   ? calloc(1, size)
                 : next_random(state) % 8 == 0 ? memalign(256, size)
                                               : malloc(size);
    }
    CHECK(*block != NULL);
    memset(*block, 1, size < 64 ? size : 64);
}

/* Grows, changes and shrinks to nothing, so that memory comes from the system and goes back. */
static void work(void **row, unsigned seed, unsigned changes)
{
    unsigned state = seed;

    for (unsigned i = 0; i < changes; i++)
        replace(&row[next_random(&state) % BLOCKS], &state);
    for (size_t i = 0; i < BLOCKS; i++) {
        free(row[i]);
        row[i] = NULL;
    }
}

/* The first time that libc gives back the end of a thread's heap, it reads a setting of the
 * kernel's. */
static void warm_up_libc(void)
{
    void *row[100];

    for (int i = 0; i < 100; i++)
        row[i] = malloc(100000);
    for (int i = 0; i < 100; i++)
        free(row[i]);
}

static void *work_in_thread(void *pointer)
{
    unsigned number = *(unsigned *)pointer;
    unsigned state = number;

    warm_up_libc();
    work(blocks[number], number, 3000);
    pthread_barrier_wait(&warm);
    pthread_barrier_wait(&locked_in);
    work(blocks[number], number + 10, 20000);
    for (size_t i = 0; i < BLOCKS; i++)
        replace(&blocks[number][i], &state);
    pthread_barrier_wait(&done);
    /* Each frees what the next one holds. */
    work(blocks[(number + 1) % THREADS], number + 20, 0);
    return NULL;
}

static bool lock_in(void)
{
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    struct sigaction action = {.sa_sigaction = say_and_die, .sa_flags = SA_SIGINFO};

    if (getenv("MM_GUARD_SAMPLE") == NULL)
        filter[program.len - 3].k = SYS_exit;
    return sigaction(SIGSYS, &action, NULL) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

int main(void)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];

    pthread_barrier_init(&warm, NULL, THREADS + 1);
    pthread_barrier_init(&locked_in, NULL, THREADS + 1);
    pthread_barrier_init(&done, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, work_in_thread, &numbers[i]) == 0);
    }
    work(blocks[THREADS], THREADS, 3000);
    pthread_barrier_wait(&warm);
    if (!lock_in()) {
        printf("skipped: process.seccomp (no filter can be set here: %s)\n", strerror(errno));
        return SKIPPED;
    }
    pthread_barrier_wait(&locked_in);
    work(blocks[THREADS], THREADS + 10, 20000);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    work(blocks[THREADS], THREADS + 20, 20000);
    return 0;
}
