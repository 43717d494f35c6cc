/* os_write.c - text goes out: into files and pipes, whole records to the end of a log, lines,
 * datagrams. Kept is whether a pipe's reader was waited for in vain. */
#include "system/kernel.h"
#include "system/os.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#define WRITE_WAIT_MS 10000u /* for a reader, where a write would not wait by itself */
#define SEND_WAIT_MS  1000u  /* for who takes datagrams */

/* One that was waited for in vain is not waited for again until it took something. */
static _Atomic bool reader_gone;

/* How much of it was taken; with errno, where that is not all. */
static size_t write_until(int fd, const char *text, size_t size, uint64_t give_up, bool *in_vain)
{
    size_t done = 0;
    while (done < size) {
        ssize_t written = mm_kernel_write(fd, text + done, size - done);
        bool is_full = written < 0 && errno == EAGAIN;
        if ((written < 0 && errno == EINTR) || (is_full && mm_os_wait_for(fd, POLLOUT, give_up)))
            continue;
        *in_vain = is_full;
        if (written <= 0)
            return done;
        done += (size_t)written;
    }
    return done;
}

static size_t write_all(int fd, const char *text, size_t size)
{
    bool is_gone = atomic_load_explicit(&reader_gone, memory_order_relaxed);
    uint64_t give_up = mm_os_milliseconds() + (is_gone ? 0 : WRITE_WAIT_MS);
    bool in_vain = false;
    size_t done = write_until(fd, text, size, give_up, &in_vain);
    if (in_vain || (is_gone && done == size))
        atomic_store_explicit(&reader_gone, in_vain, memory_order_relaxed);
    return done;
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

/* What a write may raise is blocked from here ... */
struct raised {
    sigset_t before, pending;
};

static struct raised block_raised(void)
{
    struct raised raised;
    sigset_t numbers;
    sigemptyset(&numbers);
    sigaddset(&numbers, SIGPIPE);
    sigaddset(&numbers, SIGXFSZ);
    sigaddset(&numbers, SIGTTOU);
    sigemptyset(&raised.pending);
    sigpending(&raised.pending);
    mm_kernel_sigmask(SIG_BLOCK, &numbers, &raised.before);
    return raised;
}

/* ... to here. A terminal takes it from the background too, once SIGTTOU is blocked: it raises
 * none. Keeps errno. */
static void take_back_raised(const struct raised *raised)
{
    int error = errno;
    take_back(SIGPIPE, &raised->pending);
    take_back(SIGXFSZ, &raised->pending);
    mm_kernel_sigmask(SIG_SETMASK, &raised->before, NULL);
    errno = error;
}

bool mm_os_write(int fd, const void *text, size_t size)
{
    struct raised raised = block_raised();
    bool written = write_all(fd, text, size) == size;
    take_back_raised(&raised);
    return written;
}

bool mm_os_write_within(int fd, const void *text, size_t size, uint64_t give_up)
{
    struct raised raised = block_raised();
    bool in_vain = false;
    bool written = write_until(fd, text, size, give_up, &in_vain) == size;
    take_back_raised(&raised);
    return written;
}

/* --- whole records --- */

/* Does the file end in this text? */
static bool ends_in(int fd, const char *text, size_t size, off_t end)
{
    char piece[512];
    for (size_t done = 0, count; done < size; done += count) {
        count = size - done < sizeof piece ? size - done : sizeof piece;
        off_t at = end - (off_t)size + (off_t)done;
        if (mm_kernel_read_at(fd, piece, count, (uint64_t)at) != (ssize_t)count ||
            memcmp(piece, text + done, count) != 0)
            return false;
    }
    return true;
}

/* The open file is for writing alone: its text is read by the path, if that still is the file's. */
static void cut_off(int fd, const char *path, const char *text, size_t size)
{
    int readable = mm_os_open_read(path);
    struct mm_os_file_id ours = mm_os_file_id(fd), other = mm_os_file_id(readable);
    struct stat status;
    if (mm_os_is_same_file(&ours, &other) &&
        mm_kernel_fstatat(fd, "", &status, AT_EMPTY_PATH) == 0 && S_ISREG(status.st_mode) &&
        status.st_size >= (off_t)size && ends_in(readable, text, size, status.st_size))
        mm_kernel_ftruncate(fd, status.st_size - (off_t)size);
    if (readable >= 0)
        mm_kernel_close(readable);
}

/* A signal that ends the process ends a write to a file between two pages: it waits. */
static size_t write_record(const struct mm_os_file_id *id, int fd, const void *text, size_t size)
{
    if (!id->is_regular)
        return write_all(fd, text, size);
    struct mm_signals signals = mm_os_block_signals();
    size_t done = write_all(fd, text, size);
    int error = errno;
    mm_os_restore_signals(&signals);
    errno = error;
    return done;
}

bool mm_os_append(const struct mm_os_file_id *id, int fd, const char *path, const void *text,
                  size_t size)
{
    struct raised raised = block_raised();
    size_t done = write_record(id, fd, text, size);
    take_back_raised(&raised);
    int error = errno;
    if (done > 0 && done < size)
        cut_off(fd, path, text, done);
    errno = error;
    return done == size;
}

/* --- a line --- */

/* What waits is asked for only where it is needed: at the start of a program there is none of its
 * own. */
static bool write_once(int fd, const void *line, size_t size)
{
    sigset_t numbers, before, none;
    sigemptyset(&none);
    sigemptyset(&numbers);
    sigaddset(&numbers, SIGXFSZ);
    mm_kernel_sigmask(SIG_BLOCK, &numbers, &before);
    ssize_t written = mm_kernel_write(fd, line, size);
    int error = written < 0 ? errno : ENOSPC;
    if (error == EFBIG)
        take_back(SIGXFSZ, &none);
    mm_kernel_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return written == (ssize_t)size;
}

bool mm_os_add_line(const char *path, const void *line, size_t size)
{
    struct stat status;
    int fd =
        mm_kernel_open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0)
        return false;
    bool added = false;
    if (mm_kernel_fstatat(fd, "", &status, AT_EMPTY_PATH) == 0) {
        errno = EINVAL;
        added = S_ISREG(status.st_mode) && write_once(fd, line, size);
    }
    int error = errno;
    mm_kernel_close(fd);
    errno = error;
    return added;
}

/* --- datagrams --- */

static bool connect_to(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, path, length);
    return mm_kernel_connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
}

/* Whole or not at all: that is what a datagram is. */
static bool send_to(int fd, const struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = count};
    uint64_t give_up = mm_os_milliseconds() + SEND_WAIT_MS;
    while (mm_kernel_sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno != EINTR && (errno != EAGAIN || !mm_os_wait_for(fd, POLLOUT, give_up)))
            return false;
    }
    return true;
}

bool mm_os_send(const char *path, const struct iovec *parts, size_t count)
{
    int fd = mm_kernel_socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC);
    if (fd < 0)
        return false;
    bool sent = connect_to(fd, path) && send_to(fd, parts, count);
    int error = errno;
    mm_kernel_close(fd);
    errno = error;
    return sent;
}
