/* Reports of a program that locked itself in: one whose forbidden calls are answered by a handler
 * of SIGSYS, and one that forbade statx() after the start had used it on stderr, a file. */
#include "check.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define DONE 3

#define ON(call, result)                                                                           \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1), BPF_STMT(BPF_RET | BPF_K, (result))

static int on_no_heap;

static bool lock_in(struct sock_filter *filter, size_t length)
{
    struct sock_fprog program = {(unsigned short)length, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* --- calls that a handler answers --- */

static volatile sig_atomic_t answered;

static void refuse(int signal, siginfo_t *info, void *context)
{
    ucontext_t *machine = context;
    (void)signal;
    (void)info;
    answered = answered + 1;
#if defined __x86_64__
    machine->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined __aarch64__
    machine->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#endif
}

static int trapped(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ON(SYS_openat, SECCOMP_RET_TRAP),
        ON(SYS_gettid, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sigaction action = {.sa_sigaction = refuse, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSYS, &action, NULL) == 0);
    if (!lock_in(filter, sizeof filter / sizeof filter[0]))
        return SKIPPED;
    free(hide(&on_no_heap));
    CHECK(answered > 0);
    return DONE;
}

/* --- a call that is refused --- */

/* Starts anew with a file as stderr. */
static int with_file(char *program)
{
    FILE *file = tmpfile();
    CHECK(file != NULL && dup2(fileno(file), STDERR_FILENO) == STDERR_FILENO);
    execl("/proc/self/exe", program, "no-statx", (char *)NULL);
    return 1;
}

static int no_statx(void)
{
    static char text[1 << 13];
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ON(SYS_statx, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    if (!lock_in(filter, sizeof filter / sizeof filter[0]))
        return SKIPPED;
    free(hide(&on_no_heap));
    CHECK(pread(STDERR_FILENO, text, sizeof text - 1, 0) >= 0);
    return strstr(text, "foreign-free") != NULL ? DONE : 1;
}

static void run(const char *name, const char *expected)
{
    static char err[1 << 13];
    int status = run_self(name, err, sizeof err);
    if (exited_with(status, SKIPPED)) {
        printf("skipped: process.sandbox, %s (no filter can be set here)\n", name);
        return;
    }
    CHECK(exited_with(status, DONE));
    CHECK(strstr(err, expected) != NULL);
}

int main(int argc, char **argv)
{
    if (!interposed()) {
        printf("skipped: process.sandbox (it is about reports)\n");
        return SKIPPED;
    }
    if (argc == 1) {
        run("trapped", "foreign-free");
        run("with-file", "");
        return 0;
    }
    return strcmp(argv[1], "trapped") == 0     ? trapped()
           : strcmp(argv[1], "with-file") == 0 ? with_file(argv[0])
                                               : no_statx();
}
