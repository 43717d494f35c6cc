/* A bad free in a signal handler, on an alternate stack that holds the signal's frame and
 * the 5 KiB that libmmshim(7) asks for, and nothing behind. */
#include "check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#define NEEDED 5120

static void *freed;

static void free_again(int signal)
{
    (void)signal;
    free(freed);
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

static int free_twice(void)
{
    stack_t stack = {.ss_size = getauxval(AT_MINSIGSTKSZ) + NEEDED};
    struct sigaction action = {.sa_handler = free_again, .sa_flags = SA_ONSTACK};
    stack.ss_sp = stack_with_guard(stack.ss_size);
    CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    freed = malloc(100);
    free(freed);
    CHECK(raise(SIGUSR1) == 0);
    return 3;
}

int main(int argc, char **argv)
{
    static char err[1 << 13];
    (void)argv;
    if (!interposed())
        return SKIPPED;
    if (argc > 1)
        return free_twice();
    CHECK(exited_with(run_self("free-twice", err, sizeof err), 3));
    CHECK(strstr(err, "double-free") != NULL);
    return 0;
}
