/* wild.c - accesses to what is no memory of the process: told, and the process ends as it would
 * have. With MISUSE_TWIN set the program has a handler, whose fault it is then, and nothing is
 * told but of a pointer that was read from a freed block. */
#include "misuse.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct node {
    long value[4];
    struct node *next;
};

static const char constant[] = "read-only";

/* Memory that is checked must be in use before. */
static struct node *node(void)
{
    struct node *made = hidden(calloc(1, sizeof *made));
    CHECK(made != NULL);
    return made;
}

void wild_null(void)
{
    struct node *first = node();
    *(volatile long *)hidden(&first->next->value[0]);
}

void wild_behind_null(void)
{
    struct node *first = node();
    *(volatile long *)hidden(&first->next->value[2]) = 1;
}

void wild_unmapped(void)
{
    node();
    *(volatile char *)hidden((void *)0x5000) = 1;
}

void wild_constant(void)
{
    node();
    publish_pointer("PTR", (void *)(uintptr_t)constant);
    *(volatile char *)hidden((void *)(uintptr_t)constant) = 1;
}

#ifdef __x86_64__
/* Where the system tells no address, a register does. */
void wild_from_overwritten(void)
{
    struct node *first = node();
    memset(first, 'A', sizeof *first);
    *(volatile long *)hidden(first->next);
}

/* What no register has: a function's way back, overwritten on its stack. */
void wild_return(void)
{
    node();
    *((volatile uintptr_t *)__builtin_frame_address(0) + 1) = 0x4141414141414141;
}

/* What is wrong is not where it points to: nothing else that a register has is told instead. */
void wild_misaligned(void)
{
    struct node *first = hidden(calloc(2, sizeof *first));
    __asm__ volatile("movaps (%0), %%xmm0" : : "r"((char *)first + 1), "d"(0x4141414141414141));
}

/* Where freed blocks are held, and filled; one that is too large for pages of its own. */
void wild_from_freed(void)
{
    struct node *first = hidden(calloc(1, LARGE)), *same = hidden(first);
    CHECK(first != NULL);
    node();
    free(first);
    *(volatile long *)hidden(same->next);
}
#endif

void wild_call(void)
{
    node();
    ((void (*)(void))hidden((void *)0x5000))();
}

/* Where all is checked. */
static long deepen(volatile long depth)
{
    volatile char taken[1000];
    taken[0] = (char)depth;
    return depth < 0 ? taken[0] : deepen(depth + 1) + taken[0];
}

void wild_deep(void)
{
    node();
    deepen(0);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {{"wild_null", wild_null},
             {"wild_behind_null", wild_behind_null},
             {"wild_unmapped", wild_unmapped},
             {"wild_constant", wild_constant},
#ifdef __x86_64__
             {"wild_from_overwritten", wild_from_overwritten},
             {"wild_return", wild_return},
             {"wild_misaligned", wild_misaligned},
             {"wild_from_freed", wild_from_freed},
#endif
             {"wild_call", wild_call},
             {"wild_deep", wild_deep}};

static void own_handler(int number)
{
    (void)number;
    _exit(STATUS_WENT_ON);
}

int main(int argc, char **argv)
{
    CHECK(argc > 1);
    if (getenv("MISUSE_TWIN") != NULL)
        signal(SIGSEGV, own_handler);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(cases[i].name, argv[1]) == 0)
            cases[i].run();
    }
    return 1;
}
