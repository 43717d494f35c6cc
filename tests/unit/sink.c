/* sink.c - where a record goes: the log's path, the file that it means, and back to stderr. */
#include "findings/sink.h"

#include "check.h"
#include "system/libc.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CAPACITY = 65536, THREADS = 8, RECORDS = 200 };

static struct check_pipe caught;
static char folder[] = "/tmp/mmshim-sink-XXXXXX";
static char complaint[CAPACITY];

static void complain(const char *line)
{
    CHECK_TEXT(complaint, "");
    CHECK(strlen(line) < sizeof complaint);
    memcpy(complaint, line, strlen(line) + 1);
}

static void take_stderr(const char *expected)
{
    char text[CAPACITY];
    check_pipe_take(&caught, text, sizeof text);
    CHECK_TEXT(text, expected);
}

static void write_record(const char *text)
{
    mm_sink_write(text, strlen(text));
}

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void take_file(const char *name, const char *expected)
{
    char text[CAPACITY];
    int fd = open(path_of(name), O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    ssize_t length = read(fd, text, sizeof text - 1);
    CHECK(length >= 0 && close(fd) == 0 && unlink(path_of(name)) == 0);
    text[length] = '\0';
    CHECK_TEXT(text, expected);
}

/* Each in a process of its own: a log that fails is complained of once. */
static void in_child(void (*body)(void))
{
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        mm_sink_start(NULL, complain);
        body();
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void to_stderr(void)
{
    write_record("one\n");
    take_stderr("one\n");
    int file = open("/dev/null", O_WRONLY | O_CLOEXEC), saved = dup(STDERR_FILENO);
    CHECK(dup2(file, STDERR_FILENO) == STDERR_FILENO && !mm_sink_has_stderr());
    write_record("two\n");
    CHECK(dup2(saved, STDERR_FILENO) == STDERR_FILENO && mm_sink_has_stderr());
    take_stderr("");
}

#define FDS 1024

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void to_file(void)
{
    bool was_open[FDS];
    for (int fd = 0; fd < FDS; fd++)
        was_open[fd] = is_open(fd);
    char name[64];
    snprintf(name, sizeof name, "log.%d.unit_sink.%%", getpid());
    char log[256];
    snprintf(log, sizeof log, "%s", path_of("log.%p.%e.%%"));
    mm_sink_start(log, complain);
    errno = EXDEV;
    write_record("one\n");
    write_record("two\n");
    take_file(name, "one\ntwo\n");
    take_stderr("");
    CHECK_TEXT(complaint, "");
    /* Away from what programs count on, and not for whoever is started. */
    unsigned opened = 0;
    for (int fd = 3; fd < FDS; fd++) {
        if (!was_open[fd] && is_open(fd)) {
            CHECK(fd >= 200 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
            opened++;
        }
    }
    CHECK_EQUAL(opened, 1);
}

static void cannot_open(void)
{
    mm_sink_start("/none/log", complain);
    write_record("one\n");
    CHECK_TEXT(complaint, "MM_LOG=/none/log: No such file or directory; reports go to stderr");
    write_record("two\n");
    take_stderr("one\ntwo\n");
}

/* A log that takes records again gets them again. */
static void opens_later(void)
{
    static char log[256], later[256];
    snprintf(later, sizeof later, "%s", path_of("later"));
    snprintf(log, sizeof log, "%.200s/log", later);
    mm_sink_start(log, complain);
    write_record("one\n");
    CHECK(mkdir(later, 0700) == 0);
    write_record("two\n");
    take_stderr("one\n");
    take_file("later/log", "two\n");
    CHECK(rmdir(later) == 0);
}

/* As logrotate does it: renamed, with another one made or not; or copied, and cut to nothing. */
static void rotated(void)
{
    static char log[256];
    char before[256];
    snprintf(log, sizeof log, "%s", path_of("rotated"));
    snprintf(before, sizeof before, "%s", path_of("rotated.1"));
    mm_sink_start(log, complain);
    write_record("one\n");
    CHECK(rename(log, before) == 0);
    write_record("two\n");
    take_file("rotated.1", "one\n");
    CHECK(rename(log, before) == 0);
    close(open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    write_record("three\n");
    take_file("rotated.1", "two\n");
    CHECK(truncate(log, 0) == 0);
    write_record("four\n");
    take_file("rotated", "four\n");
    /* A new one can't be opened: the old one is as good. */
    write_record("five\n");
    CHECK(rename(log, before) == 0 && mkdir(log, 0700) == 0);
    write_record("six\n");
    take_file("rotated.1", "five\nsix\n");
    CHECK(rmdir(log) == 0);
    take_stderr("");
    CHECK_TEXT(complaint, "");
}

/* Of a record that does not fit nothing is left. */
static void full(void)
{
    static char log[256];
    snprintf(log, sizeof log, "%s", path_of("full"));
    mm_sink_start(log, complain);
    write_record("it fits\n");
    struct rlimit unlimited, small;
    CHECK(getrlimit(RLIMIT_FSIZE, &unlimited) == 0);
    small = (struct rlimit){12, unlimited.rlim_max};
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    write_record("it does not\n");
    CHECK(setrlimit(RLIMIT_FSIZE, &unlimited) == 0);
    write_record("room again\n");
    take_file("full", "it fits\nroom again\n");
    take_stderr("it does not\n");
    CHECK(strstr(complaint, "File too large; reports go to stderr") != NULL);
}

static void check_pattern(const char *log, const char *why)
{
    char expected[CAPACITY];
    mm_sink_start(log, complain);
    snprintf(expected, sizeof expected, "MM_LOG=%.300s%s: %s; reports go to stderr", log,
             strlen(log) > 300 ? "..." : "", why);
    write_record("one\n");
    take_stderr("one\n");
    CHECK_TEXT(complaint, expected);
}

static void bad_letter(void)
{
    check_pattern("/tmp/%x", "% is to be followed by one of p, e, h, t, %");
}

static void bad_end(void)
{
    check_pattern("/tmp/%", "% is to be followed by one of p, e, h, t, %");
}

static void too_long(void)
{
    static char log[1001];
    memset(log, '/', 200);
    for (size_t i = 200; i + 2 < sizeof log; i += 2)
        memcpy(log + i, "%e", 3);
    check_pattern(log, "too long");
}

static void write_often(unsigned number, void *unused)
{
    char record[100];
    (void)unused;
    memset(record, (int)('a' + number), sizeof record);
    record[sizeof record - 1] = '\n';
    for (unsigned i = 0; i < RECORDS; i++)
        mm_sink_write(record, sizeof record);
}

static void from_threads(void)
{
    static char log[256], text[THREADS * RECORDS * 100 + 1];
    snprintf(log, sizeof log, "%s", path_of("threads"));
    mm_sink_start(log, complain);
    check_in_threads(THREADS, write_often, NULL);
    int fd = open(log, O_RDONLY | O_CLOEXEC);
    CHECK_EQUAL(read(fd, text, sizeof text), sizeof text - 1);
    for (size_t i = 0; i < sizeof text - 1; i += 100) {
        CHECK(check_all_bytes(text + i, 99, (unsigned char)text[i]));
        CHECK_EQUAL(text[i + 99], '\n');
    }
    CHECK(unlink(log) == 0);
}

int main(void)
{
    mm_libc_look_up(true);
    mm_libc_start(); /* knows what errors are called */
    CHECK(mkdtemp(folder) != NULL);
    check_pipe_open(&caught, STDERR_FILENO);
    in_child(to_stderr);
    in_child(to_file);
    in_child(cannot_open);
    in_child(opens_later);
    in_child(rotated);
    in_child(full);
    in_child(bad_letter);
    in_child(bad_end);
    in_child(too_long);
    in_child(from_threads);
    check_pipe_close(&caught);
    CHECK(rmdir(folder) == 0);
    return 0;
}
