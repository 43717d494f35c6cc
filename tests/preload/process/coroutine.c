/* A coroutine as small libraries make them: on a mapped stack that ends at a page that must not be
 * read, and returning into a function that ends it, to which no call led. */
#include "check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined __x86_64__

/* Saves the registers and the stack pointer there, and goes on with the other stack. */
void switch_stack(uintptr_t *saved, uintptr_t stack);
__asm__(".globl switch_stack\n"
        "switch_stack:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  ret\n");
#define REGISTERS 6
#define PLACE     ((size_t)128 << 10)

static uintptr_t main_stack, ended_stack;
static void *block;
static bool badly;

void end(void)
{
    switch_stack(&ended_stack, main_stack);
    abort();
}

/* What a return address is of is looked up one byte before it, which may be part of any function:
 * of one with a long frame. */
void return_to_end(void);
__asm__("  .cfi_startproc\n"
        "  .cfi_def_cfa_offset 4096\n"
        "  nop\n"
        "  .cfi_endproc\n"
        ".globl return_to_end\n"
        "return_to_end:\n"
        "  jmp end\n");

static void run(void)
{
    free(block);
    if (badly)
        free(hide(block));
    block = malloc(100);
}

/* All in one place, from `place` on, so that what is known of one stack is not so of the next. */
static void run_on_stack(char *place, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    CHECK(mprotect(place + size, page, PROT_NONE) == 0);
    uintptr_t *top = (uintptr_t *)(place + size);
    *--top = (uintptr_t)return_to_end;
    *--top = (uintptr_t)run;
    switch_stack(&main_stack, (uintptr_t)(top - REGISTERS));
    CHECK(mprotect(place + size, page, PROT_READ | PROT_WRITE) == 0);
}

static int run_all(void)
{
    char *place = mmap(NULL, PLACE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(place != MAP_FAILED);
    block = malloc(100);
    for (unsigned i = 0; i < 1000; i++) {
        run_on_stack(place, (size_t)(2 + i * 7 % 30) << 12);
        free(block);
        block = malloc(100);
    }
    free(block);
    return 3;
}

int main(int argc, char **argv)
{
    static char err[1 << 13];
    if (argc > 1) {
        badly = strcmp(argv[1], "badly") == 0;
        return run_all();
    }
    CHECK(run_all() == 3);
    if (!interposed())
        return SKIPPED;
    CHECK(exited_with(run_self("badly", err, sizeof err), 3));
    CHECK(strstr(err, "double-free") != NULL);
    return 0;
}

#else

int main(void)
{
    return SKIPPED;
}

#endif
