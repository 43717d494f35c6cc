/* A right program on stacks of its own, entered by code that no unwind table tells of, so that a
 * walk goes on in what lies above them. It allocates there; under MM_STACKS each request walks.
 * usage: strange_stacks unloaded PLUGIN PLUGIN | left_frame | neighbour */
#include "check.h"

#include <alloca.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { SIZE = 1 << 16, WORDS = 128, SECONDS = 2 };

static _Atomic bool stop;

/* From another depth each time, so that no stack is known again. */
__attribute__((noinline)) static void allocate(void)
{
    static unsigned state = 1;
    char *bytes = alloca(next_random(&state) % 4096);
    __asm__ volatile("" : : "r"(bytes) : "memory");
    for (unsigned i = 0; i < 3; i++)
        free(hide(malloc(40)));
}

/* `top` is a multiple of 16. */
__attribute__((noinline)) static void allocate_below(char *top)
{
#if defined __x86_64__
    __asm__ volatile("movq %%rsp, %%rbx\n\tmovq %0, %%rsp\n\tcall *%1\n\tmovq %%rbx, %%rsp"
                     :
                     : "r"(top), "r"(allocate)
                     : "rbx", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory",
                       "cc");
#elif defined __aarch64__
    __asm__ volatile("mov x19, sp\n\tmov sp, %0\n\tblr %1\n\tmov sp, x19"
                     :
                     : "r"(top), "r"(allocate)
                     : "x19", "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10",
                       "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x30", "memory",
                       "cc");
#endif
}

/* Three parts, of which the first is a stack and the rest as `access` says. */
static char *map(int access)
{
    char *start = mmap(NULL, 3 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(start != MAP_FAILED && mprotect(start, SIZE, PROT_READ | PROT_WRITE) == 0);
    CHECK(mprotect(start + SIZE, 2 * SIZE, access) == 0);
    return start;
}

static void for_some_seconds(void (*act)(void *), void *with)
{
    time_t end = time(NULL) + SECONDS;
    while (time(NULL) < end)
        act(with);
}

/* --- addresses in modules that are unloaded at that moment --- */

static _Atomic uintptr_t plugin_code[2];

struct plugin {
    const char *path;
    unsigned number;
};

static void *load_and_unload(void *argument)
{
    const struct plugin *plugin = argument;
    while (!stop) {
        void *handle = dlopen(plugin->path, RTLD_LAZY);
        CHECK(handle != NULL);
        plugin_code[plugin->number] = (uintptr_t)dlsym(handle, "plugin_work");
        CHECK(plugin_code[plugin->number] != 0);
        CHECK(dlclose(handle) == 0);
    }
    return NULL;
}

static void below_code(void *stack)
{
    static unsigned state = 1;
    uintptr_t *above = (uintptr_t *)((char *)stack + SIZE);
    uintptr_t code = plugin_code[next_random(&state) % 2];
    for (unsigned i = 0; i < WORDS; i++)
        above[i] = code + next_random(&state) % 200;
    allocate_below((char *)stack + SIZE);
}

static void unloaded(char **paths)
{
    struct plugin plugins[2] = {{paths[0], 0}, {paths[1], 1}};
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, load_and_unload, &plugins[i]) == 0);
    for_some_seconds(below_code, map(PROT_READ | PROT_WRITE));
    stop = true;
    for (unsigned i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* --- what a signal's frame left behind --- */

static void *restorer;

static void note_restorer(int signal)
{
    (void)signal;
    restorer = __builtin_return_address(0);
}

/* Where a return address may be, one that looks like a signal handler's; above it for the stack
 * pointer a small number, for the other registers this function. */
static void left_frame(void)
{
    uintptr_t *above = (uintptr_t *)(map(PROT_READ | PROT_WRITE) + SIZE);
    CHECK(signal(SIGUSR1, note_restorer) != SIG_ERR && raise(SIGUSR1) == 0);
    for (unsigned frame = 0; frame < 18; frame++) {
        for (unsigned i = 0; i < WORDS; i++)
            above[i] = i <= frame   ? (uintptr_t)restorer
                       : i % 2 == 0 ? 64
                                    : (uintptr_t)left_frame + 10;
        allocate_below((char *)above);
    }
    char *end = map(PROT_NONE) + SIZE;
    for (unsigned words = 2; words <= 32; words += 2) {
        above = (uintptr_t *)end - words;
        for (unsigned i = 0; i < words; i++)
            above[i] = (uintptr_t)restorer;
        allocate_below((char *)above);
    }
}

/* --- a neighbour that another thread unmaps --- */

/* It is there at once, and for a moment. */
static void *come_and_go(void *argument)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    while (!stop) {
        CHECK(mmap(argument, page, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, -1, 0) ==
              argument);
        for (volatile unsigned i = 0; i < 1000; i++)
            ;
        CHECK(mmap(argument, page, PROT_NONE, flags, -1, 0) == argument);
    }
    return NULL;
}

static void at_the_end(void *stack)
{
    allocate_below((char *)stack + SIZE);
}

static void neighbour(void)
{
    char *stack = map(PROT_NONE);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, come_and_go, stack + SIZE) == 0);
    for_some_seconds(at_the_end, stack);
    stop = true;
    CHECK(pthread_join(thread, NULL) == 0);
}

int main(int argc, char **argv)
{
    CHECK(argc > 1);
    if (strcmp(argv[1], "unloaded") == 0 && argc == 4)
        unloaded(argv + 2);
    else if (strcmp(argv[1], "left_frame") == 0)
        left_frame();
    else
        neighbour();
    return 0;
}
