/* pages.c - misuse of blocks that have pages of their own (MM_GUARD_SAMPLE=1): told at the
 * instruction, and the program goes on as it would have. With MISUSE_TWIN set the same is done
 * correctly, and nothing is told. */
#include "misuse.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 48, ODD_SIZE = 41, PAGE = 4096 };

static bool is_twin(void)
{
    return getenv("MISUSE_TWIN") != NULL;
}

/* --- by functions that the reports name --- */

char *allocated_here(size_t size)
{
    char *block = hidden(malloc(size));

    CHECK(block != NULL);
    memset(block, 'x', size);
    publish_pointer("PTR", block);
    return block;
}

void freed_here(void *block)
{
    free(hidden(block));
}

void writes(char *at)
{
    *(volatile char *)hidden(at) = 'y';
}

char reads(const char *at)
{
    return *(const volatile char *)hidden((void *)(uintptr_t)at);
}

/* --- beside a block --- */

/* What is written there is there. */
void page_write_behind(void)
{
    char *block = allocated_here(SIZE);
    char *at = block + (is_twin() ? SIZE - 1 : SIZE);

    BAD_CALL(writes(at));
    CHECK(reads(at) == 'y');
    CHECK(block[0] == 'x' && block[SIZE - 1] == (is_twin() ? 'y' : 'x'));
    freed_here(block);
}

void page_read_behind(void)
{
    char *block = allocated_here(SIZE);

    BAD_CALL(reads(block + (is_twin() ? SIZE - 1 : SIZE)));
    freed_here(block);
}

/* Of the page that the block is in, all up to the one before. */
void page_write_before(void)
{
    char *block = allocated_here(SIZE);

    BAD_CALL(writes(block - (is_twin() ? 0 : PAGE - SIZE + 1)));
    freed_here(block);
}

void page_read_right_before(void)
{
    char *block = allocated_here(SIZE);

    BAD_CALL((void)*(volatile char *)hidden(block - (is_twin() ? 0 : 1)));
    freed_here(block);
}

/* Bytes that no page guards, as the block's start is aligned. */
void page_write_behind_odd(void)
{
    char *block = allocated_here(ODD_SIZE);

    writes(block + (is_twin() ? ODD_SIZE - 1 : ODD_SIZE));
    BAD_CALL(freed_here(block));
}

void page_write_behind_odd_at_exit(void)
{
    char *block = allocated_here(ODD_SIZE);

    writes(block + (is_twin() ? ODD_SIZE - 1 : ODD_SIZE));
}

void page_copy_behind(void)
{
    char *block = allocated_here(SIZE), *other = hidden(malloc(2 * SIZE));

    CHECK(other != NULL);
    memset(other, 'z', 2 * SIZE);
    /* By instructions of this function's, as every compiler makes of sizes that it knows. */
    memcpy(hidden(block), other, SIZE);
    if (!is_twin())
        memcpy(hidden(block) + SIZE, other + SIZE, 8);
    CHECK(block[SIZE - 1] == 'z');
    free(other);
    freed_here(block);
}

void page_of_large_block(void)
{
    char *block = allocated_here(5 * PAGE);

    BAD_CALL(writes(block + (is_twin() ? 0 : 5 * PAGE)));
    freed_here(block);
}

/* --- after its free --- */

static void use_freed(void (*use)(char *))
{
    char *block = allocated_here(SIZE);

    if (is_twin())
        use(block);
    freed_here(block);
    if (!is_twin())
        use(block);
}

/* Its content is what it was, and stays so. */
static void read_all(char *block)
{
    BAD_CALL(reads(block));
    for (int i = 0; i < SIZE; i++)
        CHECK(reads(block + i) == 'x');
}

void page_read_freed(void)
{
    use_freed(read_all);
}

static void write_and_read(char *block)
{
    BAD_CALL(writes(block + SIZE - 1));
    CHECK(reads(block + SIZE - 1) == 'y' && reads(block) == 'x');
}

void page_write_freed(void)
{
    use_freed(write_and_read);
}

void page_read_moved(void)
{
    char *block = allocated_here(SIZE);
    char *moved = hidden(realloc(block, 2 * SIZE));

    CHECK(moved != NULL && moved != block && moved[SIZE - 1] == 'x');
    BAD_CALL(reads(is_twin() ? moved : block));
    free(moved);
}

void page_double_free(void)
{
    char *block = allocated_here(SIZE);

    freed_here(block);
    if (!is_twin())
        BAD_CALL(freed_here(block));
}

void page_interior_free(void)
{
    char *block = allocated_here(SIZE);

    publish_pointer("INSIDE", block + 16);
    if (!is_twin())
        BAD_CALL(freed_here(block + 16));
    freed_here(block);
}

/* --- where --- */

static void in_thread(void *block)
{
    writes((char *)block + (is_twin() ? 0 : SIZE));
}

void page_in_another_thread(void)
{
    char *block = allocated_here(SIZE);
    struct worker worker;

    worker_start(&worker, "worker", in_thread, block);
    worker_finish(&worker);
    freed_here(block);
}

/* The child has all as its parent had it, and tells of it. */
void page_in_a_child(void)
{
    char *block = allocated_here(SIZE);
    int status;
    pid_t child = fork();

    if (child == 0) {
        publish_number("CHILD", (size_t)getpid());
        writes(block + (is_twin() ? 0 : SIZE));
        CHECK(is_twin() || reads(block + SIZE) == 'y');
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    freed_here(block);
}

static char *touched;

static void on_signal(int number)
{
    (void)number;
    writes(touched);
}

/* On another stack, which is as small as may be. */
void page_in_a_signal_handler(void)
{
    static char other[8192];
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    stack_t stack = {.ss_sp = other, .ss_size = sizeof other};
    char *block = allocated_here(SIZE);

    touched = block + (is_twin() ? 0 : SIZE);
    CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    raise(SIGUSR1);
    freed_here(block);
}

/* --- who touches it at the same moment --- */

enum { ROUNDS = 200 };
static struct meeting meeting;
static char *shared;

static void *touch(void *unused)
{
    for (int round = 0; round < ROUNDS; round++) {
        meet(&meeting, 2 * round);
        CHECK(reads(shared) == 'x');
        meet(&meeting, 2 * round + 1);
    }
    return unused;
}

/* Whoever comes second finds it as it was, too. */
void page_at_once(void)
{
    pthread_t other;

    shared = allocated_here(SIZE);
    CHECK(pthread_create(&other, NULL, touch, NULL) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        char *next = hidden(malloc(SIZE));

        CHECK(next != NULL);
        memset(next, 'x', SIZE);
        shared = next;
        if (!is_twin())
            free(next);
        meet(&meeting, 2 * round);
        CHECK(reads(next) == 'x');
        meet(&meeting, 2 * round + 1);
        if (is_twin())
            free(next);
    }
    CHECK(pthread_join(other, NULL) == 0);
}

/* --- what is no misuse --- */

/* A program may protect what it was given, and have a handler for that. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    CHECK(info->si_addr == touched);
    CHECK(mprotect(touched, PAGE, PROT_READ | PROT_WRITE) == 0);
}

void page_protected_by_program(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    char *block = hidden(aligned_alloc(PAGE, PAGE));

    CHECK(block != NULL && sigaction(SIGSEGV, &action, NULL) == 0);
    touched = block;
    for (int i = 0; i < 3; i++) {
        CHECK(mprotect(block, PAGE, PROT_NONE) == 0);
        writes(block);
        free(hidden(malloc(SIZE)));
    }
    free(block);
}

static const struct misuse_case cases[] = {
    MISUSE_CASE(page_write_behind),     MISUSE_CASE(page_read_behind),
    MISUSE_CASE(page_write_before),     MISUSE_CASE(page_read_right_before),
    MISUSE_CASE(page_write_behind_odd), MISUSE_CASE(page_write_behind_odd_at_exit),
    MISUSE_CASE(page_copy_behind),      MISUSE_CASE(page_of_large_block),
    MISUSE_CASE(page_read_freed),       MISUSE_CASE(page_write_freed),
    MISUSE_CASE(page_read_moved),       MISUSE_CASE(page_double_free),
    MISUSE_CASE(page_interior_free),    MISUSE_CASE(page_in_another_thread),
    MISUSE_CASE(page_in_a_child),       MISUSE_CASE(page_in_a_signal_handler),
    MISUSE_CASE(page_at_once),          MISUSE_CASE(page_protected_by_program),
};

int main(int argc, char **argv)
{
    return run_case(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
