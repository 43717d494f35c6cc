/* leaks.c - asks a process for its leaks; see leaks/answer.def. The pipe lies in the process's own
 * /tmp, wherever its root is, and is its user's to open. That folder may be hostile to who asks:
 * what was made there is used by its descriptor alone, once it is seen to be what was made; and the
 * answer is anybody's text. It is symbolized here, where the process need not wait for it. */
#include "launcher/leaks.h"

#include "launcher/base.h"
#include "launcher/symbolize.h"
#include "leaks/answer.def"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

const char launcher_leaks_help[] =
    "Usage: mmshim leaks [--wait=SECONDS] PID\n"
    "\n"
    "Asks a process that was started with MM_LEAKS=1 MM_LEAKS_SIGNAL=NUMBER which blocks nothing\n"
    "points to any more, and shows its answer. The process stands only while the system copies "
    "it,\n"
    "as for a fork(), and goes on; nothing that it finds has a part in its exit status.\n"
    "  --wait=SECONDS  at most so long for the answer to begin (default: 60)\n"
    "Status 0, or 125 when there is no answer, or not all of it.\n";

#define WAIT         60
#define WAIT_MOST    86400
#define ANSWER_MOST  ((size_t)64 << 20)
#define BUSY_NS      20000000 /* until it is asked again */
#define TURN_SECONDS 3

static struct {
    int folder; /* open as long as the pipe is there; else -1 */
    char name[sizeof MM_ANSWER_NAME + 10];
} answer_at = {.folder = -1};

/* --- the process --- */

static char *path_in(pid_t process, const char *file)
{
    return launcher_text("/proc/%d/%s", (int)process, file);
}

static char *read_of(pid_t process, const char *file, size_t *size)
{
    char *path = path_in(process, file);
    FILE *opened = fopen(path, "r");
    free(path);
    if (opened == NULL)
        return NULL;
    char *text = launcher_read_all(opened, size);
    fclose(opened);
    return text;
}

/* Which signal it obeys the shim shows by a mapping of its own file: mm_os_map_mark(). 0: none. */
static int signal_in(char *maps)
{
    int number = 0;
    char *rest, *line = strtok_r(maps, "\n", &rest);
    for (; line != NULL && number == 0; line = strtok_r(NULL, "\n", &rest)) {
        char access[5];
        unsigned long offset;
        if (strstr(line, "libmmshim.so") != NULL &&
            sscanf(line, "%*s %4s %lx", access, &offset) == 2 && strcmp(access, "---s") == 0)
            number = (int)(offset / (unsigned long)sysconf(_SC_PAGESIZE));
    }
    return number;
}

/* NULL: it is not set. */
static const char *variable_of(const char *variables, size_t size, const char *name)
{
    for (const char *at = variables; at < variables + size; at += strlen(at) + 1) {
        const char *value = launcher_behind(at, name);
        if (value != NULL && *value == '=')
            return value + 1;
    }
    return NULL;
}

/* Of a shim that shows no mark: an older one, or where it may not. */
static int signal_by_environment(pid_t process)
{
    size_t size;
    char *variables = read_of(process, "environ", &size);
    if (variables == NULL)
        return 0;
    const char *number = variable_of(variables, size, "MM_LEAKS_SIGNAL");
    const char *leaks = variable_of(variables, size, "MM_LEAKS");
    const char *dangling = variable_of(variables, size, "MM_DANGLING");
    bool looks = (leaks != NULL && strcmp(leaks, "0") != 0) ||
                 (dangling != NULL && strcmp(dangling, "0") != 0);
    int found = number != NULL && looks ? atoi(number) : 0;
    free(variables);
    return found;
}

static int signal_of(pid_t process)
{
    size_t size;
    char *maps = read_of(process, "maps", &size);
    if (maps == NULL)
        launcher_die("process %d: %s", (int)process,
                     errno == ENOENT ? "there is none" : strerror(errno));
    if (strstr(maps, "libmmshim.so") == NULL)
        launcher_die("process %d: the shim is not active there", (int)process);
    int number = signal_in(maps);
    free(maps);
    if (number == 0)
        number = signal_by_environment(process);
    if (number == 0)
        launcher_die(
            "process %d can't be asked: start it by mmshim --leaks=1 --leaks-signal=%d, or "
            "with another signal that it has no use for",
            (int)process, SIGUSR2);
    return number;
}

/* What stands in a line of its status; NULL: there is no such line. */
static const char *line_of(const char *status, const char *name)
{
    const char *line = strstr(status, name);
    return line != NULL ? line + strlen(name) : NULL;
}

/* In a line of signals, a bit each. */
static bool has_signal(const char *status, const char *name, int number)
{
    const char *line = line_of(status, name);
    return line != NULL && strtoull(line, NULL, 16) >> (number - 1) & 1;
}

/* Without a handler the signal would end it. */
static void need_handler(pid_t process, const char *status, int number)
{
    if (number < 1 || number > 64 || !has_signal(status, "\nSigCgt:", number))
        launcher_die(
            "process %d has no handler for signal %d, its MM_LEAKS_SIGNAL: the shim is not "
            "active there",
            (int)process, number);
}

/* Real, effective, saved, of the file system: the last opens files. */
static unsigned file_system_id(const char *status, const char *name)
{
    unsigned id = 0;
    const char *line = line_of(status, name);
    if (line != NULL)
        sscanf(line, "%*u %*u %*u %u", &id);
    return id;
}

/* --- the pipe --- */

static void remove_pipe(void)
{
    if (answer_at.folder >= 0)
        unlinkat(answer_at.folder, answer_at.name, 0);
}

static void remove_and_end(int number)
{
    remove_pipe();
    signal(number, SIG_DFL);
    raise(number);
}

/* A link in the process's root leads to what it means there. */
static int open_folder(pid_t process)
{
    char *path = path_in(process, "root");
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int folder = (int)syscall(SYS_openat2, root, MM_ANSWER_FOLDER, &how, sizeof how);
    if (folder < 0 && errno == ENOSYS) /* before Linux 5.6 */
        folder = openat(root, &MM_ANSWER_FOLDER[1], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    free(path);
    close(root);
    return folder;
}

static void need_pipe(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode) || status.st_uid != geteuid() ||
        status.st_nlink != 1 || (status.st_mode & 077) != 0)
        launcher_die("in " MM_ANSWER_FOLDER " of the process somebody changed the pipe");
}

/* Whoever else may write there can put something else at the name: it is not used twice. */
static int make_pipe(pid_t process, const char *status, int number)
{
    uid_t user = file_system_id(status, "\nUid:");
    gid_t group = file_system_id(status, "\nGid:");
    snprintf(answer_at.name, sizeof answer_at.name, MM_ANSWER_NAME "%d", number);
    int folder = open_folder(process);
    if (folder < 0 || mkfifoat(folder, answer_at.name, 0600) != 0)
        launcher_die("no pipe in " MM_ANSWER_FOLDER " of process %d: %s", (int)process,
                     strerror(errno));
    answer_at.folder = folder;
    atexit(remove_pipe);
    int made = openat(folder, answer_at.name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    if (made < 0)
        launcher_die("no pipe in " MM_ANSWER_FOLDER " of process %d: %s", (int)process,
                     strerror(errno));
    need_pipe(made);
    char *path = launcher_text("/proc/self/fd/%d", made);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || (user != geteuid() && fchown(fd, user, group) != 0))
        launcher_die("process %d is another user's: %s", (int)process, strerror(errno));
    free(path);
    close(made);
    return fd;
}

/* What there is of it so far. */
struct answer {
    FILE *text;
    size_t size;
    enum { CUT, LATER, BUSY, WHOLE } end;
};

/* False when it takes too long, or the process, if `target` tells of it, has ended and left
 * nothing. */
static bool wait_for_some(int fd, int target, long seconds)
{
    struct pollfd what[] = {{.fd = fd, .events = POLLIN}, {.fd = target, .events = POLLIN}};
    int ready;
    do
        ready = poll(what, 2, (int)seconds * 1000);
    while (ready < 0 && errno == EINTR);
    return ready > 0 && what[0].revents != 0;
}

/* What a terminal would obey is none of a report's. */
static void take(struct answer *answer, const char *piece, size_t size)
{
    for (size_t i = 0; i < size && answer->end < BUSY; i++, answer->size++) {
        bool is_control = ((unsigned char)piece[i] < ' ' && !strchr("\n\t", piece[i])) ||
                          (unsigned char)piece[i] == 127;
        if (piece[i] == MM_ANSWER_END)
            answer->end = WHOLE;
        else if (piece[i] == MM_ANSWER_LATER)
            answer->end = LATER;
        else if (piece[i] == MM_ANSWER_BUSY) {
            answer->end = BUSY;
            return; /* that is no answer */
        } else
            fputc(is_control ? '?' : piece[i], answer->text);
    }
}

/* All that comes until it is whole, or nobody writes there any more, which a child of the process
 * may keep from being seen. */
static void read_answer(struct answer *answer, int fd, int target, long seconds)
{
    static char piece[65536];
    ssize_t got;
    while (answer->end < BUSY && answer->size < ANSWER_MOST &&
           wait_for_some(fd, target, answer->end == LATER ? 1 : seconds) &&
           (got = read(fd, piece, sizeof piece)) > 0)
        take(answer, piece, (size_t)got);
}

/* --- the command --- */

static long number_of(const char *text, long least, long most)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && number >= least && number <= most ? number
                                                                                          : -1;
}

static int random_number(void)
{
    uint32_t number;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        launcher_die("no random number: %s", strerror(errno));
    return (int)(number % INT32_MAX) + 1;
}

/* To the very process that was looked at; before Linux 5.3 to whoever has its number. */
static int send_to(pid_t process, int fd, int number, int token)
{
    siginfo_t info = {.si_signo = number, .si_code = SI_QUEUE};
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = (void *)((uintptr_t)token | MM_ANSWER_TWICE);
    if (fd >= 0)
        return (int)syscall(SYS_pidfd_send_signal, fd, number, &info, 0);
    return sigqueue(process, number, info.si_value);
}

/* An end to write to: as long as it is open the pipe has one. */
static int hold_open(int fd)
{
    char *path = launcher_text("/proc/self/fd/%d", fd);
    int held = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    free(path);
    return held;
}

static time_t seconds_now(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void wait_a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = BUSY_NS}, NULL);
}

_Noreturn static void give_up_on(pid_t process)
{
    launcher_die("process %d answers somebody else (--wait)", (int)process);
}

/* Signals that are on their way are not counted, so one asks at a time, as long as this is open.
 * Who holds it for long may be anybody. */
static int take_turn(pid_t process)
{
    char *path = path_in(process, "");
    int turn = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    time_t give_up = seconds_now() + TURN_SECONDS;
    free(path);
    while (turn >= 0 && flock(turn, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK &&
           seconds_now() < give_up)
        wait_a_moment();
    return turn;
}

/* Of somebody who does not wait for the answer any more. */
static bool is_on_its_way(pid_t process, int number)
{
    size_t size;
    char *status = read_of(process, "status", &size);
    bool is_pending = status != NULL && has_signal(status, "\nShdPnd:", number);
    free(status);
    return is_pending;
}

static bool is_to_be_asked_again(const struct answer *answer, time_t give_up)
{
    if (answer->end == BUSY)
        wait_a_moment();
    return answer->end == LATER || (answer->end == BUSY && seconds_now() < give_up);
}

/* With its text to be read from the start. */
static struct answer ask(pid_t process, long seconds)
{
    size_t size;
    struct answer answer = {.text = tmpfile()};
    int target = (int)syscall(SYS_pidfd_open, process, 0);
    int number = signal_of(process), token = random_number();
    char *status = read_of(process, "status", &size);
    if (status == NULL)
        launcher_die("process %d: %s", (int)process, strerror(errno));
    if (answer.text == NULL)
        launcher_die("no temporary file: %s", strerror(errno));
    need_handler(process, status, number);
    signal(SIGINT, remove_and_end);
    signal(SIGTERM, remove_and_end);
    signal(SIGHUP, remove_and_end);
    time_t give_up = seconds_now() + seconds;
    int turn = take_turn(process);
    int fd = make_pipe(process, status, token), held = -1;
    do {
        answer.end = CUT;
        while (is_on_its_way(process, number) && seconds_now() < give_up)
            wait_a_moment();
        if (send_to(process, target, number, token) != 0)
            launcher_die("process %d: %s", (int)process, strerror(errno));
        read_answer(&answer, fd, target, seconds);
        if (held < 0)
            held = hold_open(fd);
    } while (is_to_be_asked_again(&answer, give_up) && signal_of(process) == number);
    if (answer.end == BUSY)
        give_up_on(process);
    if (answer.size == 0)
        launcher_die("process %d did not answer within %ld s (--wait); what it finds is told where "
                     "its findings are told",
                     (int)process, seconds);
    free(status);
    close(fd);
    close(turn);
    rewind(answer.text);
    return answer;
}

int launcher_leaks(char *const *arguments)
{
    static char *const none[] = {NULL};
    long seconds = WAIT;
    const char *value;
    for (; *arguments != NULL && **arguments == '-'; arguments++) {
        value = launcher_behind(*arguments, "--wait=");
        seconds = value != NULL ? number_of(value, 1, WAIT_MOST) : -1;
        if (seconds < 0)
            launcher_die("leaks: %s: not known; --wait=SECONDS is, of 1 to %d", *arguments,
                         WAIT_MOST);
    }
    long process = *arguments != NULL ? number_of(*arguments, 1, INT32_MAX) : -1;
    if (process < 0 || arguments[1] != NULL)
        launcher_die("leaks takes a process's number");
    struct answer answer = ask((pid_t)process, seconds);
    dup2(fileno(answer.text), STDIN_FILENO);
    int status = launcher_symbolize(none);
    if (answer.end != WHOLE)
        launcher_die("the answer of process %ld is not complete", process);
    return status;
}
