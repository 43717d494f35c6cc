/* kernel.c - the instruction that enters the kernel, once, and a line for each call. Keeps nothing;
 * only what kernel.h says so leaves errno alone. */
#include "system/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* What the kernel says: a negative errno is a failure. The calling conventions are those of
 * syscall(2). */
static long call(long number, const long with[static 6])
{
#if defined __x86_64__
    long result;
    register long d __asm__("r10") = with[3], e __asm__("r8") = with[4], f __asm__("r9") = with[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(with[0]), "S"(with[1]), "d"(with[2]), "r"(d), "r"(e), "r"(f)
                     : "rcx", "r11", "memory");
    return result;
#elif defined __aarch64__
    register long which __asm__("x8") = number, a __asm__("x0") = with[0],
                        b __asm__("x1") = with[1], c __asm__("x2") = with[2],
                        d __asm__("x3") = with[3], e __asm__("x4") = with[4],
                        f __asm__("x5") = with[5];
    __asm__ volatile("svc #0"
                     : "+r"(a)
                     : "r"(which), "r"(b), "r"(c), "r"(d), "r"(e), "r"(f)
                     : "memory");
    return a;
#else
    int saved_errno = errno;
    long result = syscall(number, with[0], with[1], with[2], with[3], with[4], with[5]);
    if (result == -1)
        result = -errno;
    errno = saved_errno;
    return result;
#endif
}

#define ERRNO_MOST 4095
#define UNSHARE    2 /* CLOSE_RANGE_UNSHARE, which not all headers have */

void *mm_kernel_mmap(size_t size, int access)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    long start = call(SYS_mmap, (long[6]){0, (long)size, access, flags, -1, 0});
    return start < 0 && start >= -ERRNO_MOST ? NULL : (void *)start;
}

void *mm_kernel_mmap_shared(size_t size)
{
    int access = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
    long start = call(SYS_mmap, (long[6]){0, (long)size, access, flags, -1, 0});
    return start < 0 && start >= -ERRNO_MOST ? NULL : (void *)start;
}

bool mm_kernel_mmap_mark(int fd, uint64_t offset)
{
    long start = call(SYS_mmap, (long[6]){0, 1, PROT_NONE, MAP_SHARED, fd, (long)offset});
    return start >= 0 || start < -ERRNO_MOST;
}

bool mm_kernel_mprotect(void *start, size_t size, int access)
{
    return call(SYS_mprotect, (long[6]){(long)start, (long)size, access}) == 0;
}

bool mm_kernel_madvise(void *start, size_t size, int advice)
{
    return call(SYS_madvise, (long[6]){(long)start, (long)size, advice}) == 0;
}

#define KCMP_OF_MEMORY 1

bool mm_kernel_shares_memory(pid_t with)
{
    return call(SYS_kcmp, (long[6]){mm_kernel_process_id(), with, KCMP_OF_MEMORY}) == 0;
}

bool mm_kernel_mincore(const void *start, size_t size, unsigned char *pages)
{
    return call(SYS_mincore, (long[6]){(long)start, (long)size, (long)pages}) == 0;
}

bool mm_kernel_munmap(void *start, size_t size)
{
#ifdef __SANITIZE_THREAD__
    /* By libc's it is seen that what is mapped there next is other memory. */
    return munmap(start, size) == 0;
#endif
    return call(SYS_munmap, (long[6]){(long)start, (long)size}) == 0;
}

bool mm_kernel_mremap(void *from, void *to, size_t size)
{
    long with[6] = {(long)from, (long)size, (long)size, MREMAP_MAYMOVE | MREMAP_FIXED, (long)to};
    return call(SYS_mremap, with) == (long)to;
}

bool mm_kernel_queue_own(int number, siginfo_t *info)
{
    long with[6] = {mm_kernel_process_id(), mm_kernel_thread_id(), number, (long)info};
    return call(SYS_rt_tgsigqueueinfo, with) == 0;
}

bool mm_kernel_getrlimit(int resource, struct rlimit *limit)
{
    return call(SYS_prlimit64, (long[6]){0, resource, 0, (long)limit}) == 0;
}

bool mm_kernel_sysinfo(struct sysinfo *info)
{
    return call(SYS_sysinfo, (long[6]){(long)info}) == 0;
}

bool mm_kernel_futex_wait(_Atomic uint32_t *word, uint32_t value, unsigned milliseconds)
{
    struct timespec most = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    const struct timespec *timeout = milliseconds != 0 ? &most : NULL;
    long with[6] = {(long)word, FUTEX_WAIT_PRIVATE, value, (long)timeout};
    return call(SYS_futex, with) != -ETIMEDOUT;
}

void mm_kernel_futex_wake(_Atomic uint32_t *word, int most)
{
    call(SYS_futex, (long[6]){(long)word, FUTEX_WAKE_PRIVATE, most});
}

bool mm_kernel_tgkill(pid_t thread, int signal)
{
    return call(SYS_tgkill, (long[6]){mm_kernel_process_id(), thread, signal}) == 0;
}

bool mm_kernel_has_ended(pid_t thread)
{
    return call(SYS_tgkill, (long[6]){mm_kernel_process_id(), thread, 0}) == -ESRCH;
}

#ifdef __x86_64__
/* Where a handler returns to; debuggers know it by its bytes, which are those of libc's. */
extern void mm_kernel_return(void) __attribute__((visibility("hidden")));
__asm__(".pushsection .text\n"
        ".balign 16\n"
        "nop\n"
        ".hidden mm_kernel_return\n"
        ".globl mm_kernel_return\n"
        ".type mm_kernel_return, @function\n"
        "mm_kernel_return:\n"
        "movq $15, %rax\n"
        "syscall\n"
        ".size mm_kernel_return, .-mm_kernel_return\n"
        ".popsection");
#define RESTORER      mm_kernel_return
#define WITH_RESTORER 0x04000000ul
#else
#define RESTORER      NULL
#define WITH_RESTORER 0ul
#endif

struct mm_kernel_action mm_kernel_action_of(void (*handler)(int, siginfo_t *, void *))
{
    return (struct mm_kernel_action){
        .handler = handler,
        .flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | WITH_RESTORER,
        .restorer = RESTORER,
        .mask = ~((uint64_t)1 << (SIGSYS - 1)),
    };
}

bool mm_kernel_action(int signal, const struct mm_kernel_action *action,
                      struct mm_kernel_action *before)
{
    long with[6] = {signal, (long)action, (long)before, sizeof(uint64_t)};
    return call(SYS_rt_sigaction, with) == 0;
}

bool mm_kernel_handler_stack(const stack_t *wanted, stack_t *before)
{
    return call(SYS_sigaltstack, (long[6]){(long)wanted, (long)before}) == 0;
}

static long with_errno(long result)
{
    if (result >= 0 || result < -ERRNO_MOST)
        return result;
    errno = (int)-result;
    return -1;
}

int mm_kernel_open(const char *path, int flags)
{
    return (int)with_errno(call(SYS_openat, (long[6]){AT_FDCWD, (long)path, flags, 0666}));
}

ssize_t mm_kernel_read(int fd, void *buffer, size_t size)
{
    return with_errno(call(SYS_read, (long[6]){fd, (long)buffer, (long)size}));
}

ssize_t mm_kernel_read_at(int fd, void *buffer, size_t size, uint64_t offset)
{
    return with_errno(call(SYS_pread64, (long[6]){fd, (long)buffer, (long)size, (long)offset}));
}

int mm_kernel_ftruncate(int fd, off_t size)
{
    return (int)with_errno(call(SYS_ftruncate, (long[6]){fd, (long)size}));
}

int mm_kernel_socket(int family, int type)
{
    return (int)with_errno(call(SYS_socket, (long[6]){family, type, 0}));
}

int mm_kernel_connect(int fd, const struct sockaddr *address, unsigned size)
{
    return (int)with_errno(call(SYS_connect, (long[6]){fd, (long)address, size}));
}

ssize_t mm_kernel_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return with_errno(call(SYS_sendmsg, (long[6]){fd, (long)message, flags}));
}

ssize_t mm_kernel_write(int fd, const void *text, size_t size)
{
    return with_errno(call(SYS_write, (long[6]){fd, (long)text, (long)size}));
}

ssize_t mm_kernel_read_own(void *to, const void *from, size_t size)
{
    struct iovec local = {to, size}, remote = {(void *)(uintptr_t)from, size};
    long arguments[6] = {mm_kernel_process_id(), (long)&local, 1, (long)&remote, 1, 0};
    long result = call(SYS_process_vm_readv, arguments);
    if (result == -ESRCH) { /* the first thread, whose id that is, has ended */
        arguments[0] = mm_kernel_thread_id();
        result = call(SYS_process_vm_readv, arguments);
    }
    return with_errno(result);
}

int mm_kernel_ioctl(int fd, unsigned long request, void *with)
{
    return (int)with_errno(call(SYS_ioctl, (long[6]){fd, (long)request, (long)with}));
}

int mm_kernel_userfaultfd(int flags)
{
    return (int)with_errno(call(SYS_userfaultfd, (long[6]){flags}));
}

ssize_t mm_kernel_read_folder(int fd, void *buffer, size_t size)
{
    return with_errno(call(SYS_getdents64, (long[6]){fd, (long)buffer, (long)size}));
}

int mm_kernel_close(int fd)
{
    return (int)with_errno(call(SYS_close, (long[6]){fd}));
}

int mm_kernel_fcntl(int fd, int command, int argument)
{
    return (int)with_errno(call(SYS_fcntl, (long[6]){fd, command, argument}));
}

int mm_kernel_pipe2(int ends[static 2], int flags)
{
    return (int)with_errno(call(SYS_pipe2, (long[6]){(long)ends, flags}));
}

int mm_kernel_fstatat(int fd, const char *path, struct stat *status, int flags)
{
    return (int)with_errno(call(SYS_newfstatat, (long[6]){fd, (long)path, (long)status, flags}));
}

int mm_kernel_fstatfs(int fd, struct statfs *of)
{
    return (int)with_errno(call(SYS_fstatfs, (long[6]){fd, (long)of}));
}

int mm_kernel_statx(int fd, const char *path, int flags, unsigned wanted, struct statx *status)
{
    return (int)with_errno(
        call(SYS_statx, (long[6]){fd, (long)path, flags, (long)wanted, (long)status}));
}

int mm_kernel_execve(const char *path, const char *const *arguments, const char *const *environment)
{
    return (int)with_errno(
        call(SYS_execve, (long[6]){(long)path, (long)arguments, (long)environment}));
}

pid_t mm_kernel_branch(void)
{
    return (pid_t)with_errno(call(SYS_clone, (long[6]){0}));
}

pid_t mm_kernel_waitpid(pid_t child, int *status, int options)
{
    return (pid_t)with_errno(call(SYS_wait4, (long[6]){child, (long)status, options}));
}

int mm_kernel_uname(struct utsname *names)
{
    return (int)with_errno(call(SYS_uname, (long[6]){(long)names}));
}

bool mm_kernel_barrier(void)
{
    return call(SYS_membarrier, (long[6]){MEMBARRIER_CMD_PRIVATE_EXPEDITED}) == 0 ||
           (call(SYS_membarrier, (long[6]){MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED}) == 0 &&
            call(SYS_membarrier, (long[6]){MEMBARRIER_CMD_PRIVATE_EXPEDITED}) == 0);
}

/* Whoever closes a descriptor that it was given a copy of may end what the process has by it. */
bool mm_kernel_unshare(void)
{
    return call(SYS_close_range, (long[6]){0, UINT_MAX, UNSHARE}) == 0 &&
           call(SYS_unshare, (long[6]){CLONE_FS}) == 0;
}

void mm_kernel_kill(pid_t process)
{
    call(SYS_kill, (long[6]){process, SIGKILL});
}

void mm_kernel_signal_thread(pid_t thread, int number)
{
    call(SYS_tgkill, (long[6]){mm_kernel_process_id(), thread, number});
}

void mm_kernel_die_with_parent(void)
{
    call(SYS_prctl, (long[6]){PR_SET_PDEATHSIG, SIGKILL});
}

int mm_kernel_sigmask(int how, const sigset_t *set, sigset_t *before)
{
    return (int)with_errno(
        call(SYS_rt_sigprocmask, (long[6]){how, (long)set, (long)before, sizeof(uint64_t)}));
}

/* Newer machines have only the later form of these. Where there is the older one libc makes it, and
 * so it is the one that sandboxes allow. */

void mm_kernel_alarm(unsigned seconds)
{
#ifdef SYS_alarm
    call(SYS_alarm, (long[6]){seconds});
#else
    struct itimerval time = {.it_value.tv_sec = seconds};
    call(SYS_setitimer, (long[6]){ITIMER_REAL, (long)&time});
#endif
}

int mm_kernel_dup2(int fd, int to)
{
#ifdef SYS_dup2
    return (int)with_errno(call(SYS_dup2, (long[6]){fd, to}));
#else
    return fd == to ? fd : (int)with_errno(call(SYS_dup3, (long[6]){fd, to}));
#endif
}

int mm_kernel_poll(struct pollfd *what, nfds_t count, int milliseconds)
{
#ifdef SYS_poll
    return (int)with_errno(call(SYS_poll, (long[6]){(long)what, (long)count, milliseconds}));
#else
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    return (int)with_errno(call(SYS_ppoll, (long[6]){(long)what, (long)count, (long)&time}));
#endif
}

int mm_kernel_access(const char *path, int mode)
{
#ifdef SYS_access
    return (int)with_errno(call(SYS_access, (long[6]){(long)path, mode}));
#else
    return (int)with_errno(call(SYS_faccessat, (long[6]){AT_FDCWD, (long)path, mode}));
#endif
}

ssize_t mm_kernel_readlink(const char *path, char *target, size_t size)
{
#ifdef SYS_readlink
    return with_errno(call(SYS_readlink, (long[6]){(long)path, (long)target, (long)size}));
#else
    return with_errno(
        call(SYS_readlinkat, (long[6]){AT_FDCWD, (long)path, (long)target, (long)size}));
#endif
}

bool mm_kernel_own_name(char name[static 16])
{
    return call(SYS_prctl, (long[6]){PR_GET_NAME, (long)name}) == 0;
}

void mm_kernel_nap(long nanoseconds)
{
    struct timespec time = {.tv_nsec = nanoseconds};
    call(SYS_nanosleep, (long[6]){(long)&time, 0});
}

bool mm_kernel_can_read(const void *start)
{
    long no_way = -1;
    return call(SYS_rt_sigprocmask, (long[6]){no_way, (long)start, 0, sizeof(uint64_t)}) != -EFAULT;
}

void mm_kernel_exit_group(int status)
{
    for (;;)
        call(SYS_exit_group, (long[6]){status});
}

void mm_kernel_close_range(unsigned first, unsigned last)
{
    call(SYS_close_range, (long[6]){(long)first, (long)last, 0});
}

pid_t mm_kernel_process_id(void)
{
    return (pid_t)call(SYS_getpid, (long[6]){0});
}

pid_t mm_kernel_parent_id(void)
{
    return (pid_t)call(SYS_getppid, (long[6]){0});
}

pid_t mm_kernel_thread_id(void)
{
    return (pid_t)call(SYS_gettid, (long[6]){0});
}
