/* What a report is written to may be at its limit, slow, gone, or of another process: the program
 * notices none of it. */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_US 20000 /* longer than a file's times are apart at least */

static int on_no_heap;
static char folder[] = "/tmp/mmshim-writes-XXXXXX";

/* Each use is a place of its own, so each is reported. */
#define FREE_BADLY() free(hide(&on_no_heap))

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int make_file(const char *name)
{
    int fd = open(path_of(name), O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0);
    return fd;
}

/* --- runs of their own --- */

static int at_limit(void)
{
    struct rlimit none = {0, 0};
    CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
    FREE_BADLY();
    sigset_t pending;
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 0);
    return 3;
}

static int to_full_pipe(void)
{
    static char filler[4096];
    CHECK(fcntl(STDERR_FILENO, F_SETFL, fcntl(STDERR_FILENO, F_GETFL) | O_NONBLOCK) == 0);
    while (write(STDERR_FILENO, filler, sizeof(filler)) > 0)
        ;
    FREE_BADLY();
    return 3;
}

static void *leave_cancelled(void *unused)
{
    FREE_BADLY();
    pthread_cancel(pthread_self());
    _exit(3);
    return unused;
}

static int cancelled(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, leave_cancelled, NULL) == 0);
    pthread_join(thread, NULL);
    return 4;
}

static int over_deleted(void)
{
    CHECK(unlink(path_of("err")) == 0 && close(STDERR_FILENO) == 0);
    CHECK(make_file("own") == STDERR_FILENO);
    FREE_BADLY();
    CHECK(lseek(STDERR_FILENO, 0, SEEK_END) == 0);
    return 3;
}

static unsigned open_files(void)
{
    struct stat status;
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fstat(fd, &status) == 0;
    return count;
}

static void in_vfork_child(void)
{
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
        FREE_BADLY();
        _exit(0);
    }
    char log[300];
    snprintf(log, sizeof(log), "%s.%d", path_of("log"), (int)child);
    CHECK(waitpid(child, NULL, 0) == child && unlink(log) == 0);
}

static int vfork_child(void)
{
    FREE_BADLY();
    unsigned before = open_files();
    in_vfork_child();
    FREE_BADLY();
    CHECK(open_files() == before);
    return 3;
}

static const struct run {
    const char *name;
    int (*run)(void);
} runs[] = {{"at-limit", at_limit},
            {"to-full-pipe", to_full_pipe},
            {"cancelled", cancelled},
            {"over-deleted", over_deleted},
            {"vfork-child", vfork_child}};

/* --- what starts them --- */

static pid_t start(const char *name, int err)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(dup2(err, STDERR_FILENO) == STDERR_FILENO);
        close(err);
        execl("/proc/self/exe", "self", name, folder, (char *)NULL);
        _exit(1);
    }
    close(err);
    return child;
}

static void finish(pid_t child)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child && exited_with(status, 3));
}

static pid_t run_with_file(const char *name)
{
    int err = make_file("err");
    usleep(TICK_US);
    pid_t child = start(name, err);
    finish(child);
    return child;
}

static void run_with_slow_pipe(void)
{
    static char text[1 << 18];
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid_t child = start("to-full-pipe", ends[1]);
    usleep(300000);
    size_t length = 0;
    for (ssize_t got; (got = read(ends[0], text + length, sizeof(text) - length)) > 0;)
        length += (size_t)got;
    close(ends[0]);
    finish(child);
    CHECK(memmem(text, length, "ERROR: mmshim: foreign-free", 27) != NULL);
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        memcpy(folder, argv[2], sizeof(folder));
        for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
            if (strcmp(argv[1], runs[i].name) == 0)
                return runs[i].run();
    }
    CHECK(mkdtemp(folder) != NULL);
    if (!interposed())
        return SKIPPED;
    run_with_file("at-limit");
    run_with_slow_pipe();
    run_with_file("cancelled");
    run_with_file("over-deleted");
    CHECK(unlink(path_of("own")) == 0);
    char log[300];
    snprintf(log, sizeof(log), "%s.%%p", path_of("log"));
    CHECK(setenv("MM_LOG", log, 1) == 0);
    pid_t child = run_with_file("vfork-child");
    snprintf(log, sizeof(log), "%s.%d", path_of("log"), (int)child);
    CHECK(unlink(log) == 0);
    CHECK(unlink(path_of("err")) == 0 && rmdir(folder) == 0);
    return 0;
}
