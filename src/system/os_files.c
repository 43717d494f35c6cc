/* os_files.c - files: opened, read, told apart by who they are. Keeps nothing and locks nothing. */
#include "system/os.h"

#include "system/kernel.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

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

int mm_os_open_append(const char *path)
{
    int fd =
        mm_kernel_open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
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

bool mm_os_map_mark(const char *path, unsigned page)
{
    int saved_errno = errno, fd = mm_os_open_read(path);
    bool marked = fd >= 0 && mm_kernel_mmap_mark(fd, (uint64_t)page * mm_os_page_size());
    if (fd >= 0)
        mm_kernel_close(fd);
    errno = saved_errno;
    return marked;
}

bool mm_os_may_execute(const char *path)
{
    struct stat status;
    return mm_kernel_fstatat(AT_FDCWD, path, &status, 0) == 0 && S_ISREG(status.st_mode) &&
           mm_kernel_access(path, X_OK) == 0;
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
