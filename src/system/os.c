#include "system/os.h"

#include "system/kernel.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof((struct utsname *)0)->nodename <= MM_HOST_NAME, "a name fits");

#define WRITE_WAIT_MS 10000u /* for a reader, where a write would not wait by itself */

/* The thread that is inside fork(), 0 when none is: pthread_self(), because unlike the thread id
 * it is the same on both sides. Only the thread itself needs to see its own store. */
static _Atomic pthread_t passing_thread;

bool mm_locks_are_passed(void)
{
    pthread_t thread = atomic_load_explicit(&passing_thread, memory_order_relaxed);
    return thread != 0 && thread == pthread_self();
}

#define WAITERS ((uint32_t)1 << 31)

/* Threads apart by a multiple of 128 GiB have one name; see mm_lock_unless_held() for what of it.
 */
static uint32_t own_name(void)
{
    return ((uint32_t)((uintptr_t)pthread_self() >> 6) | 1) & ~WAITERS;
}

/* Who has waited does not know whether others do. */
static void wait_for_lock(struct mm_lock *lock, uint32_t name)
{
    for (;;) {
        uint32_t there = 0;
        if (atomic_compare_exchange_strong_explicit(&lock->state, &there, name | WAITERS,
                                                    memory_order_acquire, memory_order_relaxed))
            return;
        if (there & WAITERS ||
            atomic_compare_exchange_strong_explicit(&lock->state, &there, there | WAITERS,
                                                    memory_order_relaxed, memory_order_relaxed))
            mm_kernel_futex_wait(&lock->state, there | WAITERS);
    }
}

void mm_lock(struct mm_lock *lock)
{
    uint32_t nobody = 0, name = own_name();
    if (!mm_locks_are_passed() &&
        !atomic_compare_exchange_strong_explicit(&lock->state, &nobody, name, memory_order_acquire,
                                                 memory_order_relaxed))
        wait_for_lock(lock, name);
}

void mm_unlock(struct mm_lock *lock)
{
    if (!mm_locks_are_passed() &&
        atomic_exchange_explicit(&lock->state, 0, memory_order_release) & WAITERS)
        mm_kernel_futex_wake(&lock->state);
}

bool mm_lock_is_own(const struct mm_lock *lock)
{
    uint32_t there = atomic_load_explicit(&lock->state, memory_order_relaxed);
    return (there & ~WAITERS) == own_name();
}

bool mm_lock_unless_held(struct mm_lock *lock)
{
    if (mm_lock_is_own(lock) && !mm_locks_are_passed())
        return false;
    mm_lock(lock);
    return true;
}

void mm_locks_pass(void)
{
    atomic_store_explicit(&passing_thread, pthread_self(), memory_order_relaxed);
}

void mm_locks_pass_end(void)
{
    atomic_store_explicit(&passing_thread, 0, memory_order_relaxed);
}

/* No header has them. */
extern void _IO_list_lock(void) __attribute__((weak));
extern void _IO_list_unlock(void) __attribute__((weak));
extern void _IO_list_resetlock(void) __attribute__((weak));

static void call_if_there(void (*function)(void))
{
    if (function != NULL)
        function();
}

void mm_os_lock_streams(void)
{
    call_if_there(_IO_list_lock);
}

void mm_os_unlock_streams(void)
{
    call_if_there(_IO_list_unlock);
}

void mm_os_renew_streams(void)
{
    call_if_there(_IO_list_resetlock);
}

bool mm_turn_try(struct mm_turn *turn)
{
    pthread_t nobody = 0;
    /* Acquire pairs with the release in mm_turn_end(). */
    return atomic_compare_exchange_strong_explicit(&turn->holder, &nobody, pthread_self(),
                                                   memory_order_acquire, memory_order_relaxed);
}

bool mm_turn_take(struct mm_turn *turn, uint64_t milliseconds)
{
    uint64_t give_up = mm_os_milliseconds() + milliseconds;
    for (unsigned round = 0; !mm_turn_try(turn); round++) {
        if (atomic_load_explicit(&turn->holder, memory_order_relaxed) == pthread_self() ||
            mm_os_milliseconds() > give_up)
            return false;
        mm_os_wait(round);
    }
    return true;
}

void mm_turn_end(struct mm_turn *turn)
{
    atomic_store_explicit(&turn->holder, 0, memory_order_release);
}

void mm_turn_renew(struct mm_turn *turn)
{
    if (atomic_load_explicit(&turn->holder, memory_order_relaxed) != pthread_self())
        atomic_store_explicit(&turn->holder, 0, memory_order_relaxed);
}

/* Here and below not sysconf(): every process would hold 64 KiB more of libc for its table. */
size_t mm_os_page_size(void)
{
    return (size_t)getpagesize();
}

size_t mm_os_physical_memory(void)
{
    struct sysinfo info;
    return mm_kernel_sysinfo(&info) ? (size_t)info.totalram * info.mem_unit : (size_t)1 << 30;
}

static size_t limit_of(int resource)
{
    struct rlimit limit;
    if (!mm_kernel_getrlimit(resource, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return limit.rlim_cur;
}

size_t mm_os_address_space_limit(void)
{
    return limit_of(RLIMIT_AS);
}

size_t mm_os_lock_limit(void)
{
    return limit_of(RLIMIT_MEMLOCK);
}

/* An old kernel refuses: then core files are as large as what is reserved. */
void mm_os_set_dumped(void *start, size_t size, bool dumped)
{
    mm_kernel_madvise(start, size, dumped ? MADV_DODUMP : MADV_DONTDUMP);
}

void *mm_os_reserve(size_t size)
{
    void *start = mm_kernel_mmap(size, PROT_NONE);
    if (start != NULL)
        mm_os_set_dumped(start, size, false);
    return start;
}

/* One word of a large table is not to cost a huge page. */
void *mm_os_map(size_t size)
{
    void *start = mm_kernel_mmap(size, PROT_READ | PROT_WRITE);
    if (start != NULL)
        mm_kernel_madvise(start, size, MADV_NOHUGEPAGE);
    return start;
}

bool mm_os_commit(void *start, size_t size)
{
    return mm_kernel_mprotect(start, size, PROT_READ | PROT_WRITE);
}

bool mm_os_make_readable(void *start, size_t size)
{
    return mm_kernel_mprotect(start, size, PROT_READ);
}

bool mm_os_purge(void *start, size_t size)
{
    return mm_kernel_madvise(start, size, MADV_DONTNEED);
}

void mm_os_release(void *start, size_t size)
{
    mm_kernel_munmap(start, size);
}

uint64_t mm_os_milliseconds(void)
{
    struct timespec now;
    int saved_errno = errno; /* free() asks, and must keep it */
    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) != 0) {
        errno = saved_errno;
        return 0;
    }
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t mm_os_wall_clock(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#define ROUNDS_OF_YIELDS 100u
#define SHORTEST_NAP     50000 /* nanoseconds */
#define LONGEST_NAP      200u  /* times the shortest */

/* Each a little longer than the one before, so that many who wait leave the processors to what they
 * wait for, and none sleeps too long by more than a small part of the whole. */
static void nap(unsigned number)
{
    long times = number < LONGEST_NAP ? (long)number : (long)LONGEST_NAP;
    struct timespec time = {.tv_nsec = times * SHORTEST_NAP};
    syscall(SYS_nanosleep, &time, NULL); /* unlike nanosleep() no cancellation point */
}

void mm_os_wait(unsigned round)
{
    int saved_errno = errno; /* free() waits, and must keep it */
    if (round < ROUNDS_OF_YIELDS)
        sched_yield();
    else
        nap(round - ROUNDS_OF_YIELDS + 1);
    errno = saved_errno;
}

/* The kernel reads the set of signals before it finds that there is no such way to change it. A
 * call that every process makes anyway, so that no seccomp filter stops it. */
bool mm_os_is_readable(const void *start)
{
    static const long no_way = -1;
    int saved_errno = errno; /* free() asks, and must keep it */
    bool is_fault =
        syscall(SYS_rt_sigprocmask, no_way, start, NULL, sizeof(uint64_t)) != 0 && errno == EFAULT;
    errno = saved_errno;
    return !is_fault;
}

extern void *__libc_stack_end; /* the main thread's, of the dynamic linker */

/* The main thread's ends where the dynamic linker found the arguments; at the top of any other
 * thread's stack libc keeps the thread itself. */
uintptr_t mm_os_stack_top(uintptr_t sp)
{
    uintptr_t thread = (uintptr_t)pthread_self(), main_end = (uintptr_t)__libc_stack_end;
    uintptr_t lower = thread < main_end ? thread : main_end;
    uintptr_t upper = thread < main_end ? main_end : thread;
    return sp < lower ? lower : sp < upper ? upper : UINTPTR_MAX;
}

/* Below the main thread's the kernel keeps at least 128 MiB free, as far as it may ever grow. */
#define MAIN_STACK_MOST ((size_t)64 << 20)

uintptr_t mm_os_home_stack(uintptr_t *low)
{
    uintptr_t thread = (uintptr_t)pthread_self(), main_end = (uintptr_t)__libc_stack_end;
    size_t size = limit_of(RLIMIT_STACK);
    /* In a fork()'s child the thread that called it passes for the main one, with its own stack. */
    bool is_main = mm_os_thread_id() == mm_os_process_id() && (uintptr_t)&size > thread;
    *low = is_main ? main_end - (size < MAIN_STACK_MOST ? size : MAIN_STACK_MOST) : thread;
    return is_main ? main_end : thread;
}

pid_t mm_os_process_id(void)
{
    return (pid_t)syscall(SYS_getpid); /* not getpid(), as mm_os_file_id() */
}

static _Atomic pid_t memory_owner; /* 0: nobody yet */

void mm_os_own_memory(void)
{
    atomic_store_explicit(&memory_owner, mm_os_process_id(), memory_order_relaxed);
}

bool mm_os_is_guest(void)
{
    pid_t owner = atomic_load_explicit(&memory_owner, memory_order_relaxed);
    return owner != 0 && owner != mm_os_process_id();
}

pid_t mm_os_thread_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}

/* Not by snprintf(), which takes 2 KiB of stack. */
static void write_task_path(pid_t thread, char path[static 64])
{
    static const char before[] = "/proc/self/task/", after[] = "/comm";
    char digits[16], *first = digits + sizeof digits;
    do
        *--first = (char)('0' + thread % 10);
    while ((thread /= 10) > 0);
    size_t count = (size_t)(digits + sizeof digits - first);
    memcpy(path, before, sizeof before - 1);
    memcpy(path + sizeof before - 1, first, count);
    memcpy(path + sizeof before - 1 + count, after, sizeof after);
}

static size_t read_thread_name(pid_t thread, char name[static MM_THREAD_NAME])
{
    char path[64];
    if (thread == mm_os_thread_id())
        return prctl(PR_GET_NAME, name) == 0 ? strlen(name) : 0;
    write_task_path(thread, path);
    int fd = mm_os_open_read(path);
    if (fd < 0)
        return 0;
    size_t length = mm_os_read(fd, name, MM_THREAD_NAME);
    mm_os_close(fd);
    return length > 0 ? length - 1 : 0; /* the line end */
}

void mm_os_thread_name(pid_t thread, char name[static MM_THREAD_NAME])
{
    size_t length = read_thread_name(thread, name);
    if (length == 0)
        name[length++] = '?';
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            name[i] = '?';
    }
    name[length] = '\0';
}

struct mm_signals mm_os_block_signals(void)
{
    struct mm_signals signals;
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &all, &signals.before);
    return signals;
}

void mm_os_restore_signals(const struct mm_signals *signals)
{
    pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
}

/* False when the time is over, or on an error. */
static bool wait_for(int fd, short events, uint64_t give_up)
{
    for (;;) {
        uint64_t now = mm_os_milliseconds();
        struct pollfd what = {.fd = fd, .events = events};
        if (now >= give_up)
            return false;
        int ready = mm_kernel_poll(&what, 1, (int)(give_up - now));
        if (ready >= 0 || errno != EINTR)
            return ready > 0;
    }
}

static bool write_all(int fd, const char *next, size_t size)
{
    uint64_t give_up = mm_os_milliseconds() + WRITE_WAIT_MS;
    while (size > 0) {
        ssize_t written = mm_kernel_write(fd, next, size);
        if (written < 0 && (errno == EINTR || (errno == EAGAIN && wait_for(fd, POLLOUT, give_up))))
            continue;
        if (written <= 0)
            return false;
        next += written;
        size -= (size_t)written;
    }
    return true;
}

/* Takes back what our write raised, not what was waiting for the program already. */
static void take_back(int number, const sigset_t *pending)
{
    static const struct timespec at_once;
    sigset_t raised;
    if (sigismember(pending, number))
        return;
    sigemptyset(&raised);
    sigaddset(&raised, number);
    while (sigtimedwait(&raised, NULL, &at_once) < 0 && errno == EINTR)
        ;
}

/* A terminal takes it from the background too, once SIGTTOU is blocked: it raises none. */
bool mm_os_write(int fd, const void *text, size_t size)
{
    sigset_t raised, before, pending;
    sigemptyset(&raised);
    sigaddset(&raised, SIGPIPE);
    sigaddset(&raised, SIGXFSZ);
    sigaddset(&raised, SIGTTOU);
    sigemptyset(&pending);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &raised, &before);
    bool written = write_all(fd, text, size);
    int error = errno;
    take_back(SIGPIPE, &pending);
    take_back(SIGXFSZ, &pending);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return written;
}

int mm_os_open_read(const char *path)
{
    return mm_kernel_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* Where few programs look and none chooses: behind what shells and servers take for themselves. */
static int move_up(int fd)
{
    static const int places[] = {1000, 200, STDERR_FILENO + 1};
    int moved = -1;
    for (unsigned i = 0; i < sizeof places / sizeof places[0] && moved < 0; i++)
        moved = mm_kernel_fcntl(fd, F_DUPFD_CLOEXEC, places[i]);
    int error = errno;
    mm_kernel_close(fd);
    errno = error;
    return moved;
}

int mm_os_open_append(const char *path)
{
    int fd =
        mm_kernel_open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -1;
    mm_kernel_fcntl(fd, F_SETFL, O_APPEND); /* from here on a slow reader is waited for */
    return move_up(fd);
}

size_t mm_os_read(int fd, void *buffer, size_t size)
{
    ssize_t got;
    do
        got = mm_kernel_read(fd, buffer, size);
    while (got < 0 && errno == EINTR);
    return got > 0 ? (size_t)got : 0;
}

void mm_os_close(int fd)
{
    mm_kernel_close(fd);
}

/* As long as it is now; what is added meanwhile is left out. */
static const char *read_opened(int fd, size_t *size)
{
    struct stat status;
    if (mm_kernel_fstatat(fd, "", &status, AT_EMPTY_PATH) != 0)
        return NULL;
    if (S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return NULL;
    }
    if (!S_ISREG(status.st_mode)) {
        errno = 0;
        return NULL;
    }
    size_t capacity = (size_t)status.st_size + 1;
    char *text = mm_os_map(capacity);
    if (text == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    size_t got = 1;
    for (*size = 0; got > 0 && *size < capacity; *size += got)
        got = mm_os_read(fd, text + *size, capacity - *size);
    return text;
}

const char *mm_os_read_file(const char *path, size_t *size)
{
    int fd = mm_os_open_read(path);
    if (fd < 0)
        return NULL;
    const char *text = read_opened(fd, size);
    int error = errno;
    mm_kernel_close(fd);
    errno = error;
    return text;
}

bool mm_os_may_execute(const char *path)
{
    struct stat status;
    return mm_kernel_fstatat(AT_FDCWD, path, &status, 0) == 0 && S_ISREG(status.st_mode) &&
           mm_kernel_access(path, X_OK) == 0;
}

const char *mm_os_error_text(int error)
{
    const char *text = strerrordesc_np(error); /* unlike strerror() it doesn't allocate */
    return text != NULL ? text : "unknown error";
}

void mm_os_program_path(char *path, size_t capacity)
{
    ssize_t length = mm_kernel_readlink("/proc/self/exe", path, capacity - 1);
    if (length <= 0) {
        path[0] = '?';
        length = 1;
    }
    path[length] = '\0';
}

/* Nanoseconds since 1970; 0 where the file system or the kernel doesn't tell. */
static uint64_t birth_of(int fd)
{
    struct statx status;
    if (mm_kernel_statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &status) != 0 ||
        (status.stx_mask & STATX_BTIME) == 0)
        return 0;
    return (uint64_t)status.stx_btime.tv_sec * 1000000000 + status.stx_btime.tv_nsec;
}

struct mm_os_file_id mm_os_file_id(int fd)
{
    struct stat status;
    if (mm_kernel_fstatat(fd, "", &status, AT_EMPTY_PATH) != 0)
        return (struct mm_os_file_id){.open = false};
    uint64_t born = S_ISREG(status.st_mode) ? birth_of(fd) : 0;
    return (struct mm_os_file_id){true, status.st_dev, status.st_ino, born};
}

void mm_os_host_name(char name[static MM_HOST_NAME])
{
    struct utsname names;
    bool told = mm_kernel_uname(&names) == 0 && names.nodename[0] != '\0';
    memcpy(name, told ? names.nodename : "?", told ? sizeof names.nodename : 2);
}

bool mm_os_is_privileged(void)
{
    return getauxval(AT_SECURE) != 0;
}

/* --- running a program --- */

/* libc's clone(), by a name that no program has. No header has it. */
extern int __clone(int (*body)(void *), void *stack, int flags, void *argument, ...);

/* What the two steps share with us; we stand still meanwhile. */
struct start {
    const struct mm_os_command *command;
    int output;
    pid_t program; /* at most 0: not started */
    bool failed;   /* to become it */
};

/* A timer outlives exec, as do blocked signals. What it writes when nobody reads on ends it too. */
static void end_after(uint64_t milliseconds)
{
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t ends;
    sigaction(SIGALRM, &by_default, NULL);
    sigaction(SIGPIPE, &by_default, NULL);
    sigemptyset(&ends);
    sigaddset(&ends, SIGALRM);
    sigaddset(&ends, SIGPIPE);
    pthread_sigmask(SIG_UNBLOCK, &ends, NULL);
    mm_kernel_alarm((unsigned)(milliseconds / 1000) + 1);
}

/* Any of these three may have been closed, and be a number of the pipe now. */
static bool set_standard_files(int output)
{
    int nothing = mm_kernel_fcntl(mm_kernel_open("/dev/null", O_RDWR), F_DUPFD, STDERR_FILENO + 1);
    output = mm_kernel_fcntl(output, F_DUPFD, STDERR_FILENO + 1);
    return nothing >= 0 && output >= 0 && mm_kernel_dup2(nothing, STDIN_FILENO) >= 0 &&
           mm_kernel_dup2(output, STDOUT_FILENO) >= 0 &&
           mm_kernel_dup2(nothing, STDERR_FILENO) >= 0;
}

/* Nothing but system calls: the memory is ours, and so are the handlers of signals. */
static void exec_program(const struct start *start)
{
    uint64_t now = mm_os_milliseconds();
    if (now >= start->command->give_up || !set_standard_files(start->output))
        return;
    /* Files that the program left open for an exec of its own. */
    syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
    end_after(start->command->give_up - now);
    mm_kernel_execve(start->command->path, start->command->arguments, start->command->environment);
}

static int become_program(void *argument)
{
    struct start *start = argument;
    exec_program(start);
    start->failed = true;
    return 1;
}

static void *stack_top(const struct mm_os_command *command, size_t size)
{
    uintptr_t top = (uintptr_t)command->stack + size;
    return (void *)(top - top % 16);
}

/* From here on a sandbox may end what it does not allow: its handler's memory is the parent's. */
static int start_program(void *argument)
{
    struct start *start = argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    void *stack = stack_top(start->command, start->command->stack_size / 2);
    start->program = __clone(become_program, stack, CLONE_VM | CLONE_VFORK | SIGCHLD, start);
    return 0;
}

static void reap(pid_t child, int options)
{
    while (child > 0 && mm_kernel_waitpid(child, NULL, options) < 0 && errno == EINTR)
        ;
}

/* In two steps: a child of ours that did an exec would raise SIGCHLD and end in the program's own
 * waits. The one in between ends at once, without a signal, and only we know of it. */
static pid_t start_detached(const struct mm_os_command *command, int output)
{
    struct start start = {.command = command, .output = output};
    void *stack = stack_top(command, command->stack_size);
    pid_t between = __clone(start_program, stack, CLONE_VM | CLONE_VFORK, &start);
    reap(between, (int)__WCLONE);
    if (start.failed)
        reap(start.program, (int)__WALL);
    return start.failed ? 0 : start.program;
}

/* True at the end of the output, or of the room for it; false when it takes too long. */
static bool read_output(int fd, const struct mm_os_command *command, size_t *length)
{
    for (*length = 0; *length < command->output_size;) {
        if (!wait_for(fd, POLLIN, command->give_up))
            return false;
        size_t got = mm_os_read(fd, command->output + *length, command->output_size - *length);
        if (got == 0)
            return true;
        *length += got;
    }
    return true;
}

bool mm_os_run(const struct mm_os_command *command, size_t *output_length)
{
    int ends[2];
    if (mm_kernel_pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t program = start_detached(command, ends[1]);
    mm_kernel_close(ends[1]);
    bool read = program > 0 && read_output(ends[0], command, output_length);
    mm_kernel_close(ends[0]);
    /* It ends up with init; when that, or a subreaper, is us, it is our child after all. */
    if (read)
        reap(program, (int)__WALL);
    return read;
}

_Noreturn void mm_os_exit_now(int status)
{
    for (;;)
        syscall(SYS_exit_group, status);
}
