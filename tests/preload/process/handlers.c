/* handlers.c - programs with SIGSEGV handlers of their own, where blocks have pages of their own
 * (MM_GUARD_SAMPLE=1, reports to nowhere): the program's faults are the program's, as if nobody
 * else caught any; those on our pages it never sees. Each case is a child. */
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 48, PAGE = 4096, TOLD = 9 };

static volatile char *page; /* the program's own, which it protects */
static volatile sig_atomic_t calls, others;
static sigjmp_buf out;

static void shut(void)
{
    CHECK(mprotect((void *)page, PAGE, PROT_NONE) == 0);
}

static void open_page(void)
{
    CHECK(mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE) == 0);
}

static void touch_page(void)
{
    shut();
    page[7] = 1;
}

/* A guarded block, for which it is looked who catches faults. */
static void allocate(void)
{
    char *volatile block = malloc(SIZE);
    CHECK(block != NULL);
    free(block);
}

static void misuse(void)
{
    volatile char *block = hide(malloc(SIZE));
    CHECK(block != NULL);
    block[SIZE] = 'x';
    CHECK(block[SIZE] == 'x');
    free((void *)block);
}

static void set_with(void (*handler)(int, siginfo_t *, void *), int flags, struct sigaction *before)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    CHECK(sigaction(SIGSEGV, &action, before) == 0);
}

static bool is_blocked(int number)
{
    sigset_t blocked;
    CHECK(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0);
    return sigismember(&blocked, number);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    CHECK(number == SIGSEGV && info->si_signo == SIGSEGV && context != NULL);
    CHECK(info->si_addr == (void *)&page[7] && info->si_code == SEGV_ACCERR);
    CHECK(is_blocked(SIGUSR2) && is_blocked(SIGSEGV) && !is_blocked(SIGUSR1));
    calls++;
    open_page();
}

static void on_other(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    (void)context;
    others++;
    open_page();
}

/* --- cases --- */

static void set_before(void)
{
    set_with(on_fault, 0, NULL);
    for (int i = 0; i < 5; i++) {
        touch_page();
        allocate();
    }
    misuse();
    touch_page();
    CHECK(calls == 6);
}

static void set_after(void)
{
    struct sigaction now;
    misuse();
    set_with(on_fault, 0, NULL);
    CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_sigaction == on_fault);
    touch_page();
    misuse();
    touch_page();
    CHECK(calls == 2);
}

/* An old handler is put back, each in its turn. */
static void put_back(void)
{
    struct sigaction first, second, third;
    allocate();
    set_with(on_fault, 0, &first);
    allocate();
    set_with(on_other, 0, &second);
    allocate();
    touch_page();
    CHECK(calls == 0 && others == 1);
    CHECK(sigaction(SIGSEGV, &second, &third) == 0);
    touch_page();
    allocate();
    touch_page();
    CHECK(calls == 2 && others == 1);
    CHECK(sigaction(SIGSEGV, &third, NULL) == 0);
    touch_page();
    CHECK(calls == 2 && others == 2);
    CHECK(sigaction(SIGSEGV, &first, NULL) == 0);
    misuse();
    touch_page(); /* ends it */
}

static struct sigaction found;

static void on_fault_as_found(int number, siginfo_t *info, void *context)
{
    calls++;
    found.sa_sigaction(number, info, context);
}

/* One handler calls the one that it found, as it came. */
static void calls_found(void)
{
    set_with(on_other, 0, NULL);
    allocate();
    set_with(on_fault_as_found, 0, &found);
    allocate();
    misuse();
    touch_page();
    CHECK(calls == 1 && others == 1);
}

static void many(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO, .sa_sigaction = on_other};
    for (int i = 1; i < 30; i++) {
        sigemptyset(&action.sa_mask);
        sigaddset(&action.sa_mask, i);
        CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
        allocate();
        touch_page();
        CHECK(others == i);
    }
}

static void only_once(void)
{
    set_with(on_other, (int)SA_RESETHAND, NULL);
    allocate();
    misuse();
    touch_page();
    struct sigaction now;
    CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == SIG_DFL && others == 1);
    misuse();
    touch_page(); /* ends it */
}

static void on_fault_again(int number, siginfo_t *info, void *context)
{
    CHECK(!is_blocked(SIGSEGV));
    if (++calls == 1) {
        misuse();
        allocate();
        page[7] = 2; /* once more */
    }
    on_other(number, info, context);
}

static void while_called(void)
{
    set_with(on_fault_again, SA_NODEFER, NULL);
    allocate();
    touch_page();
    CHECK(calls == 2 && others == 2);
}

static void leave(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    (void)context;
    calls++;
    siglongjmp(out, 1);
}

static void leaves(void)
{
    set_with(leave, 0, NULL);
    for (volatile int i = 0; i < 200; i++) {
        allocate();
        if (sigsetjmp(out, 1) == 0)
            touch_page();
        CHECK(!is_blocked(SIGSEGV));
        misuse();
    }
    CHECK(calls == 200);
}

static volatile char deepest;

__attribute__((noinline)) static int deeper(int depth)
{
    volatile char frame[PAGE];
    frame[depth % PAGE] = 1;
    int below = depth < INT32_MAX ? deeper(depth + 1) : 0;
    deepest = frame[below % PAGE];
    return depth;
}

static void on_other_stack(void)
{
    static char other[1 << 16];
    stack_t stack = {.ss_sp = other, .ss_size = sizeof other};
    CHECK(sigaltstack(&stack, NULL) == 0);
    set_with(leave, SA_ONSTACK, NULL);
    allocate();
    for (volatile int i = 0; i < 3; i++) {
        if (sigsetjmp(out, 1) == 0)
            deeper(0);
        misuse();
    }
    CHECK(calls == 3);
}

/* As a garbage collector does that wants to know what is written to. */
static void write_barriers(void)
{
    set_with(on_other, 0, NULL);
    for (int i = 0; i < 3000; i++) {
        touch_page();
        if (i % 3 == 0)
            allocate();
        if (i % 500 == 0)
            misuse();
    }
    CHECK(others == 3000);
}

static void on_sent(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    CHECK(info->si_code <= 0 && info->si_pid == getpid());
    calls++;
}

static void sent(void)
{
    set_with(on_sent, 0, NULL);
    allocate();
    raise(SIGSEGV);
    kill(getpid(), SIGSEGV);
    CHECK(calls == 2);
    CHECK(signal(SIGSEGV, SIG_IGN) != SIG_ERR);
    misuse();
    raise(SIGSEGV);
    CHECK(signal(SIGSEGV, SIG_DFL) != SIG_ERR);
    allocate();
    raise(SIGSEGV); /* ends it */
}

/* A fault would end the process whoever catches it: no block has such pages. */
static void blocked(void)
{
    sigset_t set;
    sigfillset(&set);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    for (int i = 0; i < 100; i++) {
        volatile char *block = hide(malloc(SIZE));
        CHECK(block != NULL);
        CHECK((unsigned char)block[SIZE] <= UINT8_MAX);
        free((void *)block);
    }
}

static void unhandled(void)
{
    allocate();
    touch_page(); /* ends it */
}

/* --- their ends --- */

/* What the tracer is told the second time is what it was told first. */
static void check_traced(pid_t child)
{
    siginfo_t first, second;
#ifdef __x86_64__
    struct user_regs_struct before, after;
#endif
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    CHECK(ptrace(PTRACE_CONT, child, NULL, NULL) == 0);
    CHECK(waitpid(child, &status, 0) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSEGV);
    CHECK(ptrace(PTRACE_GETSIGINFO, child, NULL, &first) == 0);
#ifdef __x86_64__
    CHECK(ptrace(PTRACE_GETREGS, child, NULL, &before) == 0);
#endif
    CHECK(ptrace(PTRACE_CONT, child, NULL, (void *)SIGSEGV) == 0);
    CHECK(waitpid(child, &status, 0) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSEGV);
    CHECK(ptrace(PTRACE_GETSIGINFO, child, NULL, &second) == 0);
#ifdef __x86_64__
    CHECK(ptrace(PTRACE_GETREGS, child, NULL, &after) == 0);
    CHECK(memcmp(&before, &after, offsetof(struct user_regs_struct, orig_rax)) == 0 &&
          before.rip == after.rip && before.rsp == after.rsp && before.eflags == after.eflags);
#endif
    CHECK(first.si_code == second.si_code && first.si_addr == second.si_addr &&
          first.si_code == SEGV_ACCERR && first.si_addr == (void *)&page[7]);
    CHECK(ptrace(PTRACE_CONT, child, NULL, (void *)SIGSEGV) == 0);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
          WTERMSIG(status) == SIGSEGV);
}

static void traced(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
        raise(SIGSTOP);
        unhandled();
    }
    check_traced(child);
}

/* `end` is an exit status, or minus a signal. */
static void check(void (*run)(void), int end)
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        run();
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(end >= 0 ? WIFEXITED(status) && WEXITSTATUS(status) == end
                   : WIFSIGNALED(status) && WTERMSIG(status) == -end);
}

int main(void)
{
    page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    check(set_before, TOLD);
    check(set_after, TOLD);
    check(put_back, -SIGSEGV);
    check(calls_found, TOLD);
    check(many, 0);
    check(only_once, -SIGSEGV);
    check(while_called, TOLD);
    check(leaves, TOLD);
    check(on_other_stack, TOLD);
    check(write_barriers, TOLD);
    check(sent, -SIGSEGV);
    check(blocked, 0);
    check(unhandled, -SIGSEGV);
    traced();
    return 0;
}
