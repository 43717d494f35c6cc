/* kernel.h - system calls made past libc, for this folder, for the registry to wait by, and for
 * leaks/, which stops threads. Another preloaded library may stand in libc's place, and if its
 * mmap() allocates it comes back to us, where this thread holds a lock. A program may have a
 * write() of its own that is not the system's at all.
 *
 * Each does what libc's function of the same name does. None is a cancellation point. */
#ifndef MM_KERNEL_H
#define MM_KERNEL_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/types.h>
#include <sys/utsname.h>

#ifndef SYS_close_range /* in the headers of glibc 2.32; the number is everywhere the same */
#define SYS_close_range 436
#endif

/* These leave errno alone. */
/* The calling thread's; false when it could not be read. */
bool mm_kernel_own_name(char name[static 16]);
/* Sleeps, or less. */
void mm_kernel_nap(long nanoseconds);
/* Whether eight bytes may be read. The kernel reads a set of signals before it finds that there is
 * no such way to change it. A call that every process makes anyway, so that no seccomp filter stops
 * it. */
bool mm_kernel_can_read(const void *start);
_Noreturn void mm_kernel_exit_group(int status);
/* All that the process has of these, from Linux 5.9 on. */
void mm_kernel_close_range(unsigned first, unsigned last);
pid_t mm_kernel_process_id(void);
pid_t mm_kernel_parent_id(void);
pid_t mm_kernel_thread_id(void);
/* Private and of no file; NULL when refused. */
void *mm_kernel_mmap(size_t size, int access);
/* The same, seen by children as well. */
void *mm_kernel_mmap_shared(size_t size);
/* A page of a file that nobody may touch, as of `offset`. */
bool mm_kernel_mmap_mark(int fd, uint64_t offset);
bool mm_kernel_mprotect(void *start, size_t size, int access);
bool mm_kernel_madvise(void *start, size_t size, int advice);
/* Whether another process has the same memory, as far as that is told. */
bool mm_kernel_shares_memory(pid_t with);
bool mm_kernel_mincore(const void *start, size_t size, unsigned char *pages);
bool mm_kernel_munmap(void *start, size_t size);
/* To a place of that size, and what was there is gone. */
bool mm_kernel_mremap(void *from, void *to, size_t size);
/* To the calling thread, as if it had come from where `info` says. */
bool mm_kernel_queue_own(int number, siginfo_t *info);
bool mm_kernel_getrlimit(int resource, struct rlimit *limit);
bool mm_kernel_sysinfo(struct sysinfo *info);
void mm_kernel_alarm(unsigned seconds);
void mm_kernel_kill(pid_t process);
/* What other threads wrote before is seen after it, and the other way round, whatever order they
 * keep themselves; false where the system has no such call. */
bool mm_kernel_barrier(void);
/* The calling thread has descriptors of its own from now on: none; and a folder that it works in.
 */
bool mm_kernel_unshare(void);
/* Of the calling process. */
void mm_kernel_signal_thread(pid_t thread, int number);
/* The process is killed when the thread that made it ends. */
void mm_kernel_die_with_parent(void);
/* Waits while the word is `value`; may return before. False when it waited for so many
 * milliseconds, unless that is 0. */
bool mm_kernel_futex_wait(_Atomic uint32_t *word, uint32_t value, unsigned milliseconds);
/* Lets up to `most` threads that wait go on. */
void mm_kernel_futex_wake(_Atomic uint32_t *word, int most);
/* To a thread of this process; false when it is not there, or the system refuses. Signal 0 asks. */
bool mm_kernel_tgkill(pid_t thread, int signal);
/* Whether there is no such thread of this process; not where the system refuses to tell. */
bool mm_kernel_has_ended(pid_t thread);
/* Of any signal, those among them that libc keeps to itself; either may be NULL. All signals but
 * that of SIGSYS are blocked while a `handler` runs, which takes three arguments. */
struct mm_kernel_action {
    void (*handler)(int signal, siginfo_t *info, void *context);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};
bool mm_kernel_action(int signal, const struct mm_kernel_action *action,
                      struct mm_kernel_action *before);
/* The stack that the calling thread's handlers run on which ask for it; either may be NULL. */
bool mm_kernel_handler_stack(const stack_t *wanted, stack_t *before);
/* What a handler that stops a thread is set by. */
struct mm_kernel_action mm_kernel_action_of(void (*handler)(int, siginfo_t *, void *));

/* These fail with -1 and errno. */
/* What it makes, anyone may read and write whom the umask lets. */
int mm_kernel_open(const char *path, int flags);
ssize_t mm_kernel_read(int fd, void *buffer, size_t size);
ssize_t mm_kernel_read_at(int fd, void *buffer, size_t size, uint64_t offset);
int mm_kernel_ftruncate(int fd, off_t size);
int mm_kernel_socket(int family, int type);
int mm_kernel_connect(int fd, const struct sockaddr *address, unsigned size);
ssize_t mm_kernel_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t mm_kernel_write(int fd, const void *text, size_t size);
/* The process's own memory. What lies before the first page that is not there is read. */
ssize_t mm_kernel_read_own(void *to, const void *from, size_t size);
int mm_kernel_ioctl(int fd, unsigned long request, void *with);
int mm_kernel_userfaultfd(int flags);
/* Entries of a folder, as getdents64(2) writes them. */
ssize_t mm_kernel_read_folder(int fd, void *buffer, size_t size);
int mm_kernel_close(int fd);
int mm_kernel_fcntl(int fd, int command, int argument);
int mm_kernel_dup2(int fd, int to);
int mm_kernel_pipe2(int ends[static 2], int flags);
int mm_kernel_poll(struct pollfd *what, nfds_t count, int milliseconds);
int mm_kernel_fstatat(int fd, const char *path, struct stat *status, int flags);
int mm_kernel_statx(int fd, const char *path, int flags, unsigned wanted, struct statx *status);
int mm_kernel_fstatfs(int fd, struct statfs *of);
int mm_kernel_access(const char *path, int mode);
ssize_t mm_kernel_readlink(const char *path, char *target, size_t size);
int mm_kernel_execve(const char *path, const char *const *arguments,
                     const char *const *environment);
/* A child with a copy of the memory, whose end no signal tells of, and no handler of fork()'s: 0 in
 * it. It is waited for with __WCLONE. */
pid_t mm_kernel_branch(void);
pid_t mm_kernel_waitpid(pid_t child, int *status, int options);
int mm_kernel_uname(struct utsname *names);
/* pthread_sigmask(), which was in libpthread before glibc 2.32; of sigset_t the kernel's part. */
int mm_kernel_sigmask(int how, const sigset_t *set, sigset_t *before);

#endif
