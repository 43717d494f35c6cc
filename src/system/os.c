/* os.c - memory, files, signals and waiting, as os.h has them. It keeps two atomics: `purging`,
 * which the first purge sets, and `reader_gone`, which any write may. Holds and the streams' lock
 * are their holders'. */
#include "system/os.h"

#include "system/bitmap.h"
#include "system/kernel.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof((struct utsname *)0)->nodename <= MM_HOST_NAME, "a name fits");

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

bool mm_hold_try(struct mm_hold *hold)
{
    pthread_t nobody = 0;
    /* Acquire pairs with the release in mm_hold_end(). */
    return atomic_compare_exchange_strong_explicit(&hold->holder, &nobody, mm_os_self(),
                                                   memory_order_acquire, memory_order_relaxed);
}

static bool take_from(struct mm_hold *hold, pthread_t holder)
{
    return atomic_compare_exchange_strong_explicit(&hold->holder, &holder, mm_os_self(),
                                                   memory_order_acquire, memory_order_relaxed);
}

bool mm_hold_take(struct mm_hold *hold, uint64_t milliseconds)
{
    pthread_t waited_for = 0;
    uint64_t give_up = 0;
    for (unsigned round = 0; !mm_hold_try(hold); round++) {
        pthread_t holder = atomic_load_explicit(&hold->holder, memory_order_relaxed);
        if (holder == mm_os_self())
            return false;
        if (holder != waited_for)
            give_up = mm_os_milliseconds() + milliseconds;
        waited_for = holder;
        if (mm_os_milliseconds() > give_up && take_from(hold, holder))
            return true;
        mm_os_wait(round);
    }
    return true;
}

void mm_hold_end(struct mm_hold *hold)
{
    pthread_t self = mm_os_self();
    atomic_compare_exchange_strong_explicit(&hold->holder, &self, 0, memory_order_release,
                                            memory_order_relaxed);
}

void mm_hold_renew(struct mm_hold *hold)
{
    if (atomic_load_explicit(&hold->holder, memory_order_relaxed) != mm_os_self())
        atomic_store_explicit(&hold->holder, 0, memory_order_relaxed);
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

size_t mm_os_stack_limit(void)
{
    return limit_of(RLIMIT_STACK);
}

/* An old kernel refuses: then core files are as large as what is reserved. */
void mm_os_set_dumped(void *start, size_t size, bool dumped)
{
    mm_kernel_madvise(start, size, dumped ? MADV_DODUMP : MADV_DONTDUMP);
}

/* --- what is mapped by us: for who looks through all other memory --- */

static struct noted {
    _Atomic uintptr_t start, end; /* 0: a free place; start is written last */
} maps[MM_OS_MAPS_NOTED] MM_SELDOM;
static _Atomic unsigned maps_used; /* places that ever were */
static _Atomic bool maps_are_noted;

void mm_os_note_maps(void)
{
    atomic_store(&maps_are_noted, true);
}

/* A place that is taken has 1 for its start until it is filled. */
static void note_part(uintptr_t start, uintptr_t end)
{
    for (unsigned i = 0; i < MM_OS_MAPS_NOTED; i++) {
        uintptr_t none = 0;
        if (!atomic_compare_exchange_strong(&maps[i].start, &none, 1))
            continue;
        atomic_store(&maps[i].end, end);
        atomic_store(&maps[i].start, start);
        unsigned used = atomic_load(&maps_used);
        while (used < i + 1 && !atomic_compare_exchange_weak(&maps_used, &used, i + 1))
            ;
        return;
    }
}

static void note(const void *start, size_t size)
{
    if (start != NULL && atomic_load_explicit(&maps_are_noted, memory_order_relaxed))
        note_part((uintptr_t)start, (uintptr_t)start + size);
}

/* Before it goes: what comes to lie there is somebody else's. */
static void forget(uintptr_t start, uintptr_t end)
{
    for (unsigned i = 0; i < atomic_load(&maps_used); i++) {
        uintptr_t from = atomic_load(&maps[i].start), to = atomic_load(&maps[i].end);
        if (from <= 1 || from >= end || to <= start)
            continue;
        if (from < start)
            note_part(from, start);
        if (to > end)
            note_part(end, to);
        atomic_store(&maps[i].start, 0);
    }
}

void mm_os_each_map(void (*each)(uintptr_t start, uintptr_t end, void *with), void *with)
{
    for (unsigned i = 0; i < atomic_load(&maps_used); i++) {
        uintptr_t from = atomic_load(&maps[i].start);
        if (from > 1)
            each(from, atomic_load(&maps[i].end), with);
    }
}

/* --- memory --- */

void *mm_os_reserve(size_t size)
{
    void *start = mm_kernel_mmap(size, PROT_NONE);
    if (start != NULL)
        mm_os_set_dumped(start, size, false);
    note(start, size);
    return start;
}

/* One word of a large table is not to cost a huge page. */
void *mm_os_map(size_t size)
{
    void *start = mm_kernel_mmap(size, PROT_READ | PROT_WRITE);
    if (start != NULL)
        mm_kernel_madvise(start, size, MADV_NOHUGEPAGE);
    note(start, size);
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

/* An emulator's kernel (qemu-user's before 7.1) says yes and does nothing: what is claimed to be
 * zero afterwards would not be. So the first time is looked at. */
enum purging { UNTRIED, WORKS, DOES_NOTHING };
static _Atomic int purging;

MM_COLD static bool purge_first(void *start, size_t size)
{
    _Atomic uint64_t *word = start;
    uint64_t before = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, 1, memory_order_relaxed);
    bool granted = mm_kernel_madvise(start, size, MADV_DONTNEED);
    bool works = granted && atomic_load_explicit(word, memory_order_relaxed) == 0;
    if (!works)
        atomic_store_explicit(word, before, memory_order_relaxed);
    if (granted)
        atomic_store_explicit(&purging, works ? WORKS : DOES_NOTHING, memory_order_relaxed);
    return works;
}

bool mm_os_purge(void *start, size_t size)
{
    int known = atomic_load_explicit(&purging, memory_order_relaxed);
    if (mm_unlikely(known == UNTRIED))
        return purge_first(start, size);
    return known == WORKS && mm_kernel_madvise(start, size, MADV_DONTNEED);
}

void mm_os_release(void *start, size_t size)
{
    forget((uintptr_t)start, (uintptr_t)start + size);
    mm_kernel_munmap(start, size);
}

#define GUARD_INSTALL 102 /* in the headers of glibc 2.42 */
#define GUARD_REMOVE  103

bool mm_os_mark(void *start, size_t size)
{
    return mm_kernel_madvise(start, size, GUARD_INSTALL);
}

bool mm_os_unmark(void *start, size_t size)
{
    return mm_kernel_madvise(start, size, GUARD_REMOVE);
}

bool mm_os_protect(void *start, size_t size)
{
    return mm_kernel_mprotect(start, size, PROT_NONE);
}

bool mm_os_move(void *from, void *to, size_t size)
{
    forget((uintptr_t)from, (uintptr_t)from + size);
    bool done = mm_kernel_mremap(from, to, size);
    if (!done)
        note(from, size);
    return done;
}

void mm_os_keep_small(void *start, size_t size)
{
    mm_kernel_madvise(start, size, MADV_NOHUGEPAGE);
}

#define MAPPINGS_USUAL 65530u

size_t mm_os_mappings_most(void)
{
    char text[24];
    size_t most = 0;
    int saved_errno = errno;
    int fd = mm_os_open_read("/proc/sys/vm/max_map_count");
    size_t size = fd >= 0 ? mm_os_read(fd, text, sizeof text) : 0;
    for (size_t i = 0; i < size && text[i] >= '0' && text[i] <= '9'; i++)
        most = most * 10 + (size_t)(text[i] - '0');
    if (fd >= 0)
        mm_os_close(fd);
    errno = saved_errno;
    return most != 0 ? most : MAPPINGS_USUAL;
}

uint64_t mm_os_nanoseconds(void)
{
    struct timespec now;
    int saved_errno = errno;
    bool is_told = clock_gettime(CLOCK_MONOTONIC, &now) == 0;
    errno = saved_errno;
    return is_told ? (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec : 0;
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
    mm_kernel_nap(times * SHORTEST_NAP);
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

bool mm_os_is_readable(const void *start)
{
    return mm_kernel_can_read(start);
}

struct mm_signals mm_os_block_signals(void)
{
    struct mm_signals signals;
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    mm_kernel_sigmask(SIG_SETMASK, &all, &signals.before);
    return signals;
}

void mm_os_restore_signals(const struct mm_signals *signals)
{
    mm_kernel_sigmask(SIG_SETMASK, &signals->before, NULL);
}

void mm_os_trap(void)
{
    sigset_t trap, before;
    sigemptyset(&trap);
    sigaddset(&trap, SIGTRAP);
    mm_kernel_sigmask(SIG_UNBLOCK, &trap, &before);
    mm_kernel_signal_thread(mm_kernel_thread_id(), SIGTRAP);
    mm_kernel_sigmask(SIG_SETMASK, &before, NULL);
}

bool mm_os_wait_for(int fd, short events, uint64_t give_up)
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

int mm_os_open_append(const char *path, bool creates)
{
    int how = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd = mm_kernel_open(path, creates ? how | O_CREAT : how);
    if (fd < 0)
        return -1;
    mm_kernel_fcntl(fd, F_SETFL, O_APPEND); /* from here on a slow reader is waited for */
    return move_up(fd);
}

int mm_os_open_pipe(const char *path)
{
    struct stat status;
    int fd = mm_kernel_open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    if (mm_kernel_fstatat(fd, "", &status, AT_EMPTY_PATH) == 0 && S_ISFIFO(status.st_mode))
        return move_up(fd);
    mm_kernel_close(fd);
    errno = ENXIO;
    return -1;
}

size_t mm_os_read(int fd, void *buffer, size_t size)
{
    ssize_t got;
    do
        got = mm_kernel_read(fd, buffer, size);
    while (got < 0 && errno == EINTR);
    return got > 0 ? (size_t)got : 0;
}

size_t mm_os_read_at(int fd, void *buffer, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = mm_kernel_read_at(fd, (char *)buffer + done, size - done, offset + done);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            break;
        done += got > 0 ? (size_t)got : 0;
    }
    return done;
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
    const char *text = mm_libc_error_text(error);
    return text != NULL ? text : "unknown error";
}

/* "self" is the first thread, which has no memory any more once it has ended; but old kernels, and
 * emulators, know nothing else. */
void mm_os_program_path(char *path, size_t capacity)
{
    ssize_t length = mm_kernel_readlink("/proc/self/exe", path, capacity - 1);
    if (length <= 0)
        length = mm_kernel_readlink("/proc/thread-self/exe", path, capacity - 1);
    if (length <= 0) {
        path[0] = '?';
        length = 1;
    }
    path[length] = '\0';
}

void mm_os_current_folder(char *path, size_t capacity)
{
    ssize_t length = mm_kernel_readlink("/proc/self/cwd", path, capacity - 1);
    path[length > 0 ? length : 0] = '\0';
}

/* By the numbers that Linux gives to the kinds of devices: to ask by ioctl() would be one more kind
 * of system call. */
static bool is_terminal(const struct stat *status)
{
    unsigned kind = major(status->st_rdev);
    return S_ISCHR(status->st_mode) && (kind == 4 || kind == 5 || (kind >= 136 && kind <= 143) ||
                                        kind == 188 || kind == 204 || kind == 229);
}

/* Nanoseconds since 1970; 0 where the file system or the kernel doesn't tell. */
static uint64_t birth_of(int fd, const char *path, int flags)
{
    struct statx status;
    if (mm_kernel_statx(fd, path, flags, STATX_BTIME, &status) != 0 ||
        (status.stx_mask & STATX_BTIME) == 0)
        return 0;
    return (uint64_t)status.stx_btime.tv_sec * 1000000000 + status.stx_btime.tv_nsec;
}

static struct mm_os_file_id id_of(int fd, const char *path, int flags)
{
    struct stat status;
    if (mm_kernel_fstatat(fd, path, &status, flags) != 0)
        return (struct mm_os_file_id){.open = false};
    bool is_regular = S_ISREG(status.st_mode);
    return (struct mm_os_file_id){.open = true,
                                  .is_terminal = is_terminal(&status),
                                  .is_regular = is_regular,
                                  .device = status.st_dev,
                                  .inode = status.st_ino,
                                  .born = is_regular ? birth_of(fd, path, flags) : 0};
}

struct mm_os_file_id mm_os_file_id(int fd)
{
    return id_of(fd, "", AT_EMPTY_PATH);
}

struct mm_os_file_id mm_os_file_id_at(const char *path)
{
    return id_of(AT_FDCWD, path, 0);
}

bool mm_os_is_same_file(const struct mm_os_file_id *a, const struct mm_os_file_id *b)
{
    return a->open && b->open && a->device == b->device && a->inode == b->inode &&
           (a->born == b->born || a->born == 0 || b->born == 0);
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

_Noreturn void mm_os_exit_now(int status)
{
    mm_kernel_exit_group(status);
}
