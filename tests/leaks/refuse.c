/* refuse.c - becomes a program under a seccomp filter that refuses, with EPERM, what Docker's
 * default profile does of what a tool might want: refuse [--readv] PROGRAM [ARGUMENT...]. With
 * --readv, as older profiles do, process_vm_readv() too. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_userfaultfd
#define SYS_userfaultfd 323
#endif

#define REFUSE(number)                                                                             \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),                                             \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

int main(int argc, char **argv)
{
    int reads = argc > 1 && strcmp(argv[1], "--readv") == 0;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        REFUSE(SYS_ptrace),
        REFUSE(SYS_process_vm_writev),
        REFUSE(SYS_userfaultfd),
        REFUSE(SYS_perf_event_open),
        REFUSE(SYS_kcmp),
        REFUSE(SYS_unshare),
        REFUSE(SYS_setns),
        REFUSE(reads ? SYS_process_vm_readv : SYS_ptrace),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        perror("seccomp");
        return 77;
    }
    execvp(argv[1 + reads], argv + 1 + reads);
    perror(argv[1 + reads]);
    return 127;
}
