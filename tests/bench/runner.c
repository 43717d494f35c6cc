/* runner.c - runs a program with a library preloaded and says what it took, as one line of CSV:
 *
 *   wall_s,cpu_s,maxrss_kib,minflt,status
 *
 * Time on the clock; user and system time, peak resident memory and minor page faults as the kernel
 * counts them for the program and the children that it waited for; "ok", or what became of it.
 *
 * Linked statically: what it occupies counts for the child until that execs, and has to be small.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "usage: runner [option...] program [argument...]\n"
    "  -l LIBRARY   preload it\n"
    "  -o FILE      where its stdout goes (/dev/null)\n"
    "  -n TIMES     run the program so often: sums of the times, the average of the faults\n"
    "  -t SECONDS   end it after so long (120)\n"
    "  -s SOCKET    the program is a server: wait until it answers there, then time the client\n"
    "  -c COMMAND   the client, a command for sh; the server must end after it by itself\n";

struct options {
    const char *library, *output, *socket, *client;
    unsigned long times, seconds;
};

struct result {
    double wall, cpu;
    long maxrss, minflt;
    int status;
};

static volatile sig_atomic_t child;
static volatile sig_atomic_t timed_out;

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "runner: %s: %s\n", what, strerror(errno));
    exit(125);
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
    timed_out = 1;
    if (child > 0)
        kill(-(pid_t)child, SIGKILL);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

static pid_t start(const struct options *options, char **arguments)
{
    pid_t pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid == 0) {
        /* A group of its own, to be ended with all that it started; and never to be left behind. */
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (freopen(options->output, "w", stdout) == NULL)
            fail(options->output);
        if (options->library != NULL)
            setenv("LD_PRELOAD", options->library, 1);
        execvp(arguments[0], arguments);
        fail(arguments[0]);
    }
    child = pid;
    return pid;
}

static void wait_for_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        fail(path);
    }
    memcpy(address.sun_path, path, strlen(path));
    while (!timed_out) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            fail("socket");
        int status = connect(fd, (const struct sockaddr *)&address, sizeof address);
        close(fd);
        if (status == 0)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    }
}

static void run(const struct options *options, char **arguments, struct result *result)
{
    double began = now();
    pid_t pid = start(options, arguments);
    if (options->client != NULL) {
        wait_for_socket(options->socket);
        began = now();
        int status = timed_out ? 0 : system(options->client);
        if (status != 0) {
            result->status = status;
            kill(pid, SIGKILL);
        }
        result->wall += now() - began;
    }

    int status;
    struct rusage usage;
    while (wait4(pid, &status, 0, &usage) != pid)
        if (errno != EINTR)
            fail("wait4");
    if (options->client == NULL)
        result->wall += now() - began;
    result->cpu += seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    if (usage.ru_maxrss > result->maxrss)
        result->maxrss = usage.ru_maxrss;
    result->minflt += usage.ru_minflt;
    if (result->status == 0)
        result->status = status;
}

static void print(const struct options *options, const struct result *result)
{
    printf("%.6f,%.6f,%ld,%ld,", result->wall, result->cpu, result->maxrss,
           result->minflt / (long)options->times);
    if (timed_out)
        puts("timeout");
    else if (WIFSIGNALED(result->status))
        printf("signal %d\n", WTERMSIG(result->status));
    else if (WEXITSTATUS(result->status) != 0)
        printf("status %d\n", WEXITSTATUS(result->status));
    else
        puts("ok");
}

int main(int argc, char **argv)
{
    struct options options = {.output = "/dev/null", .times = 1, .seconds = 120};
    for (int option; (option = getopt(argc, argv, "+l:o:n:t:s:c:")) != -1;) {
        switch (option) {
        case 'l':
            options.library = optarg;
            break;
        case 'o':
            options.output = optarg;
            break;
        case 'n':
            options.times = strtoul(optarg, NULL, 10);
            break;
        case 't':
            options.seconds = strtoul(optarg, NULL, 10);
            break;
        case 's':
            options.socket = optarg;
            break;
        case 'c':
            options.client = optarg;
            break;
        default:
            fputs(help, stderr);
            return 125;
        }
    }
    if (optind == argc || options.times == 0 ||
        (options.socket == NULL) != (options.client == NULL)) {
        fputs(help, stderr);
        return 125;
    }

    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    alarm((unsigned)options.seconds);
    struct result result = {0};
    for (unsigned long i = 0; i < options.times && result.status == 0 && !timed_out; i++)
        run(&options, argv + optind, &result);
    print(&options, &result);
    return 0;
}
