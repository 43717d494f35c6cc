/* A bad free in a signal handler, on an alternate stack that holds the signal's frame and
 * the 5 KiB that libmmshim(7) asks for, and nothing behind. How large the frame is, is measured:
 * the kernel asks for more than it takes. */
#include "check.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NEEDED 5120

static void *bad;
static char *top;
static size_t frame;

static void measure(int signal)
{
    (void)signal;
    frame = (size_t)(top - (char *)__builtin_frame_address(0));
}

/* As in C++, whose names are read for a report. */
static void free_bad(int signal) __asm__("_ZN8handlersIN2ns3boxIiEEE4freeEi");
static void free_bad(int signal)
{
    (void)signal;
    free(bad);
}

static char *stack_with_guard(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t whole = (size + page - 1) / page * page;
    char *guard =
        mmap(NULL, page + whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(guard != MAP_FAILED && mprotect(guard, page, PROT_NONE) == 0);
    return guard + page;
}

static void raise_on(char *stack, size_t size, void (*handler)(int))
{
    stack_t other = {.ss_sp = stack, .ss_size = size};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    top = stack + size;
    CHECK(sigaltstack(&other, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0);
}

static int free_in_handler(void *block)
{
    static char large[1 << 16];
    raise_on(large, sizeof large, measure);
    bad = block;
    size_t size = (frame + NEEDED + 15) / 16 * 16;
    raise_on(stack_with_guard(size), size, free_bad);
    return 3;
}

static void *freed_block(void)
{
    void *block = malloc(100);
    free(block);
    return block;
}

/* Nothing is looked at before the free. */
static void *damaged_block(void)
{
    volatile char *block = malloc(100);
    for (int i = 0; i < 100 + 4; i++)
        block[i] = 1;
    return (void *)(uintptr_t)block;
}

static int child(const char *what, char *own_argument)
{
    return free_in_handler(strcmp(what, "twice") == 0     ? freed_block()
                           : strcmp(what, "damaged") == 0 ? damaged_block()
                                                          : own_argument);
}

int main(int argc, char **argv)
{
    static char err[1 << 13];
    if (!interposed())
        return SKIPPED;
    if (argc > 1)
        return child(argv[1], argv[0]);
    CHECK(exited_with(run_self("twice", err, sizeof err), 3));
    CHECK(strstr(err, "double-free") != NULL);
    CHECK(exited_with(run_self("foreign", err, sizeof err), 3));
    CHECK(strstr(err, "foreign-free") != NULL && strstr(err, "argv[0]") != NULL);
    CHECK(setenv("MM_DEBUG", "1", 1) == 0);
    CHECK(exited_with(run_self("twice", err, sizeof err), 3));
    CHECK(strstr(err, "double-free") != NULL);
    CHECK(exited_with(run_self("damaged", err, sizeof err), 3));
    CHECK(strstr(err, "overflow") != NULL);
    return 0;
}
