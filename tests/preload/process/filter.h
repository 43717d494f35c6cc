/* filter.h - what filters of system calls (seccomp) have in common that let an allocator work as
 * libc's does, and end the program at every other call. */
#ifndef PROCESS_FILTER_H
#define PROCESS_FILTER_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#define ALLOW(call)                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* How such a filter begins. mremap is what libc's realloc does to large blocks; the rest it, ends
 * of threads and the test itself cannot do without. */
#define ALLOW_MALLOC                                                                               \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)), ALLOW(SYS_mmap),        \
        ALLOW(SYS_mprotect), ALLOW(SYS_madvise), ALLOW(SYS_munmap), ALLOW(SYS_mremap),             \
        ALLOW(SYS_brk), ALLOW(SYS_futex), ALLOW(SYS_exit), ALLOW(SYS_exit_group),                  \
        ALLOW(SYS_write), ALLOW(SYS_rt_sigprocmask)

#endif
