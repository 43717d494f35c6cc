#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The thread that is inside fork(), 0 when none is: pthread_self(), because unlike the thread id
 * it is the same on both sides. Only the thread itself needs to see its own store. */
static _Atomic pthread_t passing_thread;

static bool passes(void)
{
    pthread_t thread = atomic_load_explicit(&passing_thread, memory_order_relaxed);
    return thread != 0 && thread == pthread_self();
}

void mm_lock(struct mm_lock *lock)
{
    if (!passes())
        pthread_mutex_lock(&lock->mutex);
}

void mm_unlock(struct mm_lock *lock)
{
    if (!passes())
        pthread_mutex_unlock(&lock->mutex);
}

void mm_lock_shared(struct mm_shared_lock *lock)
{
    if (!passes())
        pthread_rwlock_rdlock(&lock->lock);
}

void mm_lock_alone(struct mm_shared_lock *lock)
{
    pthread_rwlock_wrlock(&lock->lock);
}

bool mm_try_lock_alone(struct mm_shared_lock *lock)
{
    return pthread_rwlock_trywrlock(&lock->lock) == 0;
}

void mm_unlock_shared(struct mm_shared_lock *lock)
{
    if (!passes())
        pthread_rwlock_unlock(&lock->lock);
}

void mm_lock_renew(struct mm_shared_lock *lock)
{
    *lock = (struct mm_shared_lock)MM_SHARED_LOCK_INIT;
}

void mm_locks_pass(void)
{
    atomic_store_explicit(&passing_thread, pthread_self(), memory_order_relaxed);
}

void mm_locks_pass_end(void)
{
    atomic_store_explicit(&passing_thread, 0, memory_order_relaxed);
}

size_t mm_os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t mm_os_physical_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    return pages > 0 ? (size_t)pages * mm_os_page_size() : (size_t)1 << 30;
}

size_t mm_os_address_space_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return limit.rlim_cur;
}

void *mm_os_reserve(size_t size)
{
    void *start = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return start == MAP_FAILED ? NULL : start;
}

void *mm_os_map(size_t size)
{
    void *start = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return start == MAP_FAILED ? NULL : start;
}

bool mm_os_commit(void *start, size_t size)
{
    int saved_errno = errno;
    bool committed = mprotect(start, size, PROT_READ | PROT_WRITE) == 0;
    errno = saved_errno;
    return committed;
}

bool mm_os_make_readable(void *start, size_t size)
{
    return mprotect(start, size, PROT_READ) == 0;
}

bool mm_os_purge(void *start, size_t size)
{
    int saved_errno = errno; /* free() purges, and must keep it */
    bool purged = madvise(start, size, MADV_DONTNEED) == 0;
    errno = saved_errno;
    return purged;
}

void mm_os_release(void *start, size_t size)
{
    munmap(start, size);
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

void mm_os_yield(void)
{
    sched_yield();
}

pid_t mm_os_process_id(void)
{
    return getpid();
}

pid_t mm_os_thread_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}

static size_t read_thread_name(pid_t thread, char name[static MM_THREAD_NAME])
{
    char path[64];
    if (thread == mm_os_thread_id())
        return prctl(PR_GET_NAME, name) == 0 ? strlen(name) : 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)thread); /* doesn't allocate */
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

static void write_all(int fd, const char *next, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, next, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        next += written;
        size -= (size_t)written;
    }
}

void mm_os_write(int fd, const void *text, size_t size)
{
    sigset_t broken_pipe, before, pending;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    write_all(fd, text, size);
    /* Takes back the one that we raised, not one that was waiting for the program already. */
    if (!sigismember(&pending, SIGPIPE)) {
        static const struct timespec at_once;
        while (sigtimedwait(&broken_pipe, NULL, &at_once) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int mm_os_open_read(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC);
}

size_t mm_os_read(int fd, void *buffer, size_t size)
{
    ssize_t got;
    do
        got = read(fd, buffer, size);
    while (got < 0 && errno == EINTR);
    return got > 0 ? (size_t)got : 0;
}

void mm_os_close(int fd)
{
    close(fd);
}

void mm_os_program_path(char *path, size_t capacity)
{
    ssize_t length = readlink("/proc/self/exe", path, capacity - 1);
    if (length <= 0) {
        path[0] = '?';
        length = 1;
    }
    path[length] = '\0';
}

struct mm_os_file_id mm_os_file_id(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return (struct mm_os_file_id){.open = false};
    return (struct mm_os_file_id){true, status.st_dev, status.st_ino};
}

_Noreturn void mm_os_exit_now(int status)
{
    _exit(status);
}
