/* sink.c - the record's way: MM_LOG's file, opened when need be, syslog's socket, or stderr.
 *
 * Whoever has `hold` opens the log and writes. A vfork()'s child keeps nothing here: files,
 * limits and rights are its own, the memory is its parent's. */
#include "findings/sink.h"

#include "system/mapping.h"
#include "system/out.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_SIZE        1536u
#define DIVERTED_MS      10000u /* for all of an answer */
#define DIVERTED_IDLE_MS 2000u
#define WAIT_MS          10000u /* for another thread's record; then rather mixed than lost */

static struct mm_os_file_id stderr_at_start;
static const char *pattern; /* of the log's path; NULL: there is none */
static bool to_syslog;
static void (*complain)(const char *line);
static struct mm_hold hold = {0};

/* For whoever has it. */
static struct log_file {
    int fd;
    struct mm_os_file_id id; /* not open: no file of ours is */
    bool inherited;          /* by fork() */
    char path[PATH_SIZE];
} log_file;
static struct {
    _Atomic pid_t thread; /* whose records go elsewhere; 0: none */
    int fd;               /* these for that thread */
    uint64_t give_up;
    char last; /* 0: as who ends it says */
} diverted;
static _Atomic pid_t complaining; /* the thread that says so now; 0: none */
static _Atomic bool complained; /* of the log; it is tried again all the same, as disks get room */

void mm_sink_start(const char *log, void (*complain_of)(const char *line))
{
    pattern = log;
    to_syslog = log != NULL && strcmp(log, "syslog") == 0;
    complain = complain_of;
    stderr_at_start = mm_os_file_id(STDERR_FILENO);
}

static bool is_still(int fd, const struct mm_os_file_id *id)
{
    struct mm_os_file_id now = mm_os_file_id(fd);
    return mm_os_is_same_file(&now, id);
}

bool mm_sink_has_stderr(void)
{
    return is_still(STDERR_FILENO, &stderr_at_start);
}

static bool is_diverted(void)
{
    pid_t thread = atomic_load_explicit(&diverted.thread, memory_order_relaxed);
    return thread != 0 && thread == mm_os_thread_id();
}

bool mm_sink_is_terminal(void)
{
    bool has_log = pattern != NULL && !atomic_load_explicit(&complained, memory_order_relaxed);
    return !has_log && stderr_at_start.is_terminal && !is_diverted();
}

struct mm_os_file_id mm_sink_first_stderr(void)
{
    return stderr_at_start;
}

/* --- the file --- */

/* The last part of the program's path. */
static void write_program_name(struct mm_out *out)
{
    char path[256];
    mm_mapping_program_path(path, sizeof path);
    const char *slash = strrchr(path, '/');
    mm_out_format(out, "%s", slash != NULL ? slash + 1 : path);
}

static void write_host_name(struct mm_out *out)
{
    char name[MM_HOST_NAME];
    mm_os_host_name(name);
    for (char *slash; (slash = strchr(name, '/')) != NULL;)
        *slash = '_';
    mm_out_format(out, "%s", name);
}

/* False for a letter that stands for nothing. */
static bool write_item(struct mm_out *out, char item)
{
    switch (item) {
    case 'p':
        mm_out_format(out, "%u", (uint64_t)mm_os_process_id());
        return true;
    case 'e':
        write_program_name(out);
        return true;
    case 'h':
        write_host_name(out);
        return true;
    case 't':
        mm_out_format(out, "%u", mm_os_wall_clock() / 1000);
        return true;
    case '%':
        mm_out_format(out, "%%");
        return true;
    default:
        return false;
    }
}

/* NULL, or what is wrong with the path. */
static const char *write_path(struct mm_out *out, const char *next)
{
    for (; *next != '\0'; next++) {
        if (*next != '%')
            mm_out_format(out, "%c", *next);
        else if (!write_item(out, *++next))
            return "% is to be followed by one of p, e, h, t, %";
    }
    return out->length + 1 < out->capacity ? NULL : "too long";
}

/* NULL, or why not. */
static const char *open_log(struct log_file *file)
{
    struct mm_out out;
    mm_out_start(&out, file->path, sizeof file->path);
    const char *problem = write_path(&out, pattern);
    if (problem != NULL)
        return problem;
    int fd = mm_os_open_append(file->path);
    if (fd < 0)
        return mm_os_error_text(errno);
    file->fd = fd;
    file->id = mm_os_file_id(fd);
    file->inherited = false;
    return NULL;
}

/* A path that is not absolute means another file once the program goes elsewhere, and one like
 * /dev/stderr once it opens another one itself. */
static bool may_follow(const char *path)
{
    return path[0] == '/' && strncmp(path, "/dev/", 5) != 0 && strncmp(path, "/proc/", 6) != 0;
}

/* Logs are rotated: renamed, so that another is at the path or none. The open one is given up only
 * for a new one. */
static void follow_path(void)
{
    struct mm_os_file_id now = mm_os_file_id_at(log_file.path);
    if (!may_follow(log_file.path) || mm_os_is_same_file(&now, &log_file.id))
        return;
    int old = log_file.fd;
    if (open_log(&log_file) == NULL)
        mm_os_close(old);
}

/* A fork()'s child goes on with its parent's file, unless each process has its own. */
static bool is_parents(void)
{
    return (log_file.inherited || mm_os_is_guest()) && strstr(pattern, "%p") != NULL;
}

/* A vfork()'s child has its parent's memory, but files of its own: nothing is left in either. */
static const char *write_as_guest(const void *text, size_t size)
{
    struct log_file own = {.fd = -1};
    const char *problem = open_log(&own);
    if (problem != NULL)
        return problem;
    if (!mm_os_append(&own.id, own.fd, own.path, text, size))
        problem = mm_os_error_text(errno);
    mm_os_close(own.fd);
    return problem;
}

static const char *write_to_log(const void *text, size_t size)
{
    bool is_open = is_still(log_file.fd, &log_file.id), is_ours = is_open && !is_parents();
    if (!is_ours && mm_os_is_guest())
        return write_as_guest(text, size);
    if (is_open && !is_ours)
        mm_os_close(log_file.fd);
    if (is_ours && !mm_os_is_guest())
        follow_path();
    const char *problem = is_ours ? NULL : open_log(&log_file);
    if (problem == NULL && !mm_os_append(&log_file.id, log_file.fd, log_file.path, text, size))
        problem = mm_os_error_text(errno);
    return problem;
}

/* --- syslog, past syslog(), which allocates and takes locks --- */

#define PRIORITY "11" /* of the facility "user" an error */

static const char *send_to_syslog(const void *text, size_t size)
{
    char head[64];
    struct mm_out out;
    mm_out_start(&out, head, sizeof head);
    mm_out_format(&out, "<" PRIORITY ">mmshim[%u]: ", (uint64_t)mm_os_process_id());
    struct iovec parts[] = {{head, out.length}, {(void *)(uintptr_t)text, size}};
    return mm_os_send("/dev/log", parts, 2) ? NULL : mm_os_error_text(errno);
}

/* In the journal's own form: a value of several lines behind its length. */
static const char *send_to_journal(const void *text, size_t size)
{
    char head[] = "PRIORITY=3\nSYSLOG_IDENTIFIER=mmshim\nMESSAGE\n", length[8], end[] = "\n";
    for (unsigned i = 0; i < sizeof length; i++)
        length[i] = (char)((uint64_t)size >> 8 * i);
    struct iovec parts[] = {{head, sizeof head - 1},
                            {length, sizeof length},
                            {(void *)(uintptr_t)text, size},
                            {end, 1}};
    return mm_os_send("/run/systemd/journal/socket", parts, 4) ? NULL : "not sent";
}

/* Without the line end. Whoever listens at /dev/log, the journal among them, is the first choice.
 */
static const char *write_to_syslog(const void *text, size_t size)
{
    size_t length = size > 0 && ((const char *)text)[size - 1] == '\n' ? size - 1 : size;
    const char *problem = send_to_syslog(text, length);
    return problem == NULL || send_to_journal(text, length) == NULL ? NULL : problem;
}

bool mm_sink_tell_syslog(const char *line)
{
    return write_to_syslog(line, strlen(line)) == NULL;
}

/* --- one record --- */

static void complain_of_log(const char *problem)
{
    char line[512];
    struct mm_out out;
    if (atomic_exchange(&complained, true))
        return;
    mm_out_start(&out, line, sizeof line);
    mm_out_format(&out, "MM_LOG=");
    mm_out_cut(&out, pattern, 300);
    mm_out_format(&out, ": %s; reports go to stderr", problem);
    atomic_store_explicit(&complaining, mm_os_thread_id(), memory_order_relaxed);
    complain(line);
    atomic_store_explicit(&complaining, 0, memory_order_relaxed);
}

/* A line is short: the log, which did not take a report, might take what is said of it. */
static bool is_of_the_log(void)
{
    pid_t thread = atomic_load_explicit(&complaining, memory_order_relaxed);
    return thread != 0 && thread == mm_os_thread_id();
}

/* Signals are not blocked: who reads may be slow, and the program is to be stopped all the same. A
 * report from a handler that came in between has nobody to wait for. */
static const char *write_alone(const char *(*write_it)(const void *text, size_t size),
                               const void *text, size_t size)
{
    bool taken = mm_hold_take(&hold, WAIT_MS);
    const char *problem = write_it(text, size);
    if (taken)
        mm_hold_end(&hold);
    return problem;
}

static const char *write_to_stderr(const void *text, size_t size)
{
    bool written = mm_sink_has_stderr() && mm_os_write(STDERR_FILENO, text, size);
    return written ? NULL : "not written";
}

bool mm_sink_divert(int fd)
{
    pid_t none = 0;
    if (!atomic_compare_exchange_strong_explicit(&diverted.thread, &none, mm_os_thread_id(),
                                                 memory_order_acquire, memory_order_relaxed))
        return false;
    diverted.fd = fd;
    diverted.last = '\0';
    diverted.give_up = mm_os_milliseconds() + DIVERTED_MS;
    return true;
}

int mm_sink_diverted_fd(void)
{
    return atomic_load_explicit(&diverted.thread, memory_order_relaxed) != 0 ? diverted.fd : -1;
}

static uint64_t time_to_give_up(uint64_t now)
{
    uint64_t soon = now + DIVERTED_IDLE_MS;
    return soon < diverted.give_up ? soon : diverted.give_up;
}

static bool write_diverted(const void *text, size_t size)
{
    uint64_t now = mm_os_milliseconds();
    bool written =
        now < diverted.give_up && mm_os_write_within(diverted.fd, text, size, time_to_give_up(now));
    if (!written)
        diverted.give_up = now;
    return written;
}

/* Who reads the last byte, or that nobody writes there any more, may ask again at once: then the
 * next one is served. */
static int leave_diverted(void)
{
    int fd = diverted.fd;
    atomic_store_explicit(&diverted.thread, 0, memory_order_release);
    return fd;
}

void mm_sink_divert_end_by(char last)
{
    if (is_diverted())
        diverted.last = last;
}

void mm_sink_divert_leave(void)
{
    mm_os_close(leave_diverted());
}

void mm_sink_divert_end(char last)
{
    uint64_t give_up = time_to_give_up(mm_os_milliseconds());
    if (diverted.last != '\0')
        last = diverted.last;
    int fd = leave_diverted();
    mm_os_write_within(fd, &last, 1, give_up);
    mm_os_close(fd);
}

static bool write_record(const void *text, size_t size)
{
    if (is_diverted())
        return write_diverted(text, size);
    if (pattern != NULL && !is_of_the_log()) {
        const char *problem =
            to_syslog ? write_to_syslog(text, size) : write_alone(write_to_log, text, size);
        if (problem == NULL)
            return true;
        /* A vfork()'s child may have given up rights already, which its parent still has. */
        if (!mm_os_is_guest())
            complain_of_log(problem);
    }
    return write_alone(write_to_stderr, text, size) == NULL;
}

bool mm_sink_write(const void *text, size_t size)
{
    int cancel_state; /* no end of a process is a cancellation point */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    bool written = write_record(text, size);
    pthread_setcancelstate(cancel_state, &cancel_state);
    return written;
}

void mm_sink_renew(void)
{
    mm_hold_renew(&hold);
    log_file.inherited = true;
    if (atomic_load_explicit(&diverted.thread, memory_order_relaxed) != 0)
        mm_os_close(diverted.fd);
    atomic_store_explicit(&diverted.thread, 0, memory_order_relaxed);
}
