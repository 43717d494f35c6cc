/* findings.c - 64 threads with good uses and bad ones of every kind, under MM_DEBUG, while one of
 * them has all blocks looked at now and then: each bad one is told or counted, once, and no good
 * one is. What is freed in all is less than is held, so that no address comes again; given an
 * argument, it makes only those that are told without that. */
#include "stress.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { THREADS = 64, OPERATIONS = 6000, SHARED = 64, KEPT = 16, CHECKS = 20 };

/* Of its own size, and so not side by side with what is damaged in another way. */
enum { FOR_OVERFLOW = 40, FOR_UNDERFLOW = 100 };

size_t mem_mngr_check(void) __attribute__((weak));

enum kind {
    INTERIOR,
    FOREIGN,
    OVERFLOW,
    UNDERFLOW,
    ALWAYS,
    DOUBLE = ALWAYS,
    AFTER_FREE,
    QUERY,
    KINDS
};
static const char *const words[KINDS] = {"interior", "foreign",         "overflows",  "underflows",
                                         "double",   "uses after free", "bad queries"};
static unsigned kinds = KINDS;

/* How many there were; shared with the process that compares. */
static struct {
    atomic_uint of[KINDS];
} * bad;

static void *hidden(void *ptr)
{
    uintptr_t address = (uintptr_t)ptr;
    __asm__ volatile("" : "+r"(address));
    return (void *)address;
}

static unsigned char *made(size_t size)
{
    unsigned char *block = hidden(malloc(size));
    if (block == NULL)
        stress_fail("out of memory");
    memset(block, 'm', size);
    return block;
}

static void damage(unsigned char *at)
{
    *(unsigned char *)hidden(at) = 'x';
}

/* Blocks that wait for another thread to free them. */
static _Atomic(unsigned char *) shared[SHARED];

static void give(uint64_t *random, unsigned char *block)
{
    free(hidden(atomic_exchange(&shared[stress_random(random) % SHARED], block)));
}

static void do_badly(uint64_t *random, enum kind kind)
{
    unsigned char local[32], *block;
    size_t size = stress_between(random, 1, 300);
    if (stress_random(random) % 100 == 0)
        size = 100000;
    switch (kind) {
    case DOUBLE:
        block = made(size);
        if (stress_random(random) % 2 == 0)
            free(block);
        else
            give(random, block); /* and so the other may be first, or both at once */
        free(hidden(block));
        break;
    case INTERIOR:
        block = made(size + 16);
        free(hidden(block + 8));
        free(block);
        break;
    case FOREIGN:
        free(hidden(local));
        break;
    case OVERFLOW:
        block = made(FOR_OVERFLOW);
        damage(block + FOR_OVERFLOW);
        give(random, block);
        break;
    case UNDERFLOW:
        block = made(FOR_UNDERFLOW);
        damage(block - 1);
        give(random, block);
        break;
    case AFTER_FREE:
        block = made(size);
        free(block);
        damage((unsigned char *)hidden(block) + size / 2);
        break;
    default:
        block = made(size);
        free(block);
        if (malloc_usable_size(hidden(block)) != 0)
            stress_fail("a freed block has a size");
    }
    atomic_fetch_add(&bad->of[kind], 1);
}

static pthread_barrier_t meeting;

static void *work(void *argument)
{
    unsigned number = (unsigned)(uintptr_t)argument;
    uint64_t random = stress_seed(number);
    unsigned char *kept[KEPT] = {NULL};
    pthread_barrier_wait(&meeting);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        unsigned char **place = &kept[stress_random(&random) % KEPT];
        unsigned choice = (unsigned)(stress_random(&random) % 16);
        if (choice == 0)
            do_badly(&random, (enum kind)(stress_random(&random) % kinds));
        else if (*place == NULL)
            *place = made(stress_between(&random, 1, 300));
        else if (choice < 5)
            *place = memset(realloc(*place, 150 + choice * 20), 'r', 150 + choice * 20);
        else {
            give(&random, *place);
            *place = NULL;
        }
        if (number == 0 && i % (OPERATIONS / CHECKS) == 0)
            mem_mngr_check();
    }
    for (unsigned i = 0; i < KEPT; i++)
        free(kept[i]);
    return NULL;
}

static void run(void)
{
    static pthread_t threads[THREADS];
    if (pthread_barrier_init(&meeting, NULL, THREADS) != 0)
        stress_fail("pthread_barrier_init()");
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)i) != 0)
            stress_fail("pthread_create()");
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < SHARED; i++)
        free(hidden(shared[i]));
    exit(EXIT_SUCCESS);
}

/* --- what was told --- */

static char told[1 << 20];

static unsigned times_told(const char *what)
{
    unsigned count = 0;
    for (const char *at = told; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

/* The number before a word of the last line. */
static unsigned counted(const char *summary, const char *word)
{
    const char *at = strstr(summary, word);
    if (at == NULL)
        return 0;
    for (at--; at > summary && at[-1] >= '0' && at[-1] <= '9';)
        at--;
    return (unsigned)strtoul(at, NULL, 10);
}

static void compare(void)
{
    const char *summary = strrchr(told, '=');
    unsigned all = 0, wrong = 0;
    if (summary == NULL)
        stress_fail("nothing was told");
    for (unsigned i = 0; i < KINDS; i++) {
        char word[32];
        snprintf(word, sizeof word, " %s", words[i]);
        unsigned is = counted(summary, word), should = bad->of[i];
        printf("%s: %u, told %u\n", words[i], should, is);
        all += should;
        wrong += is != should;
    }
    unsigned shown = times_told("ERROR: mmshim: "), hidden_ones = counted(summary, " not shown");
    printf("%u in all, told %u, shown %u\n", all, counted(summary, " findings"), shown);
    if (wrong > 0 || counted(summary, " findings") != all || shown + hidden_ones != all)
        stress_fail(told);
}

/* The shim writes to what stderr was at the start. */
static void start_again_with_file(char **argv)
{
    int file = memfd_create("stderr", 0);
    argv[0] = (char *)(uintptr_t) "again";
    if (file < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || dup2(file, STDERR_FILENO) < 0 ||
        fcntl(STDERR_FILENO, F_SETFL, O_APPEND) != 0)
        stress_fail("a file for stderr");
    execv("/proc/self/exe", argv);
    stress_fail("execv()");
}

int main(int argc, char **argv)
{
    int status;
    stress_start();
    if (argc > 1)
        kinds = ALWAYS;
    if (strcmp(argv[0], "again") != 0)
        start_again_with_file(argv);
    bad = mmap(NULL, sizeof *bad, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bad == MAP_FAILED || mem_mngr_check == NULL)
        stress_fail("it needs the shim");
    pid_t child = fork();
    if (child == 0)
        run();
    if (child < 0 || waitpid(child, &status, 0) != child)
        stress_fail("fork()");
    ssize_t length = pread(STDERR_FILENO, told, sizeof told - 1, 0);
    if (length < 0)
        stress_fail("pread()");
    dup2(STDOUT_FILENO, STDERR_FILENO);
    if (status != 0) {
        printf("%d\n%s", status, told);
        stress_fail("the child did not end well");
    }
    compare();
    return 0;
}
