/* os_run.c - runs a program for a report, behind the back of the one that reports.
 *
 * Three processes share the memory while its own thread stands still; the fields of struct run are
 * written by one after the other. */
#include "system/os.h"

#include "system/kernel.h"
#include "system/libc.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the two steps share with us; we stand still meanwhile. */
struct run {
    const struct mm_os_command *command;
    size_t length; /* of the output */
    pid_t program; /* at most 0: not started */
    bool failed;   /* to become it */
    bool in_time;
};

/* The only files of both steps: what the program left open is for an exec of its own. */
enum { NOTHING, OUTPUT, INPUT };

/* A kernel before 5.9 closes none but those that are in the way. */
static bool set_files(void)
{
    int ends[2];
    mm_kernel_close_range(0, UINT_MAX);
    for (int fd = NOTHING; fd <= INPUT; fd++)
        mm_kernel_close(fd);
    return mm_kernel_open("/dev/null", O_RDWR) == NOTHING && mm_kernel_pipe2(ends, 0) == 0 &&
           ends[0] == OUTPUT && ends[1] == INPUT;
}

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
    mm_kernel_sigmask(SIG_UNBLOCK, &ends, NULL);
    mm_kernel_alarm((unsigned)(milliseconds / 1000) + 1);
}

/* Nothing but system calls: the memory is ours, and so are the handlers of signals. */
static void exec_program(const struct mm_os_command *command)
{
    uint64_t now = mm_os_milliseconds();
    if (now >= command->give_up || mm_kernel_dup2(INPUT, STDOUT_FILENO) < 0 ||
        mm_kernel_dup2(NOTHING, STDERR_FILENO) < 0)
        return;
    end_after(command->give_up - now);
    mm_kernel_execve(command->path, command->arguments, command->environment);
}

static int become_program(void *argument)
{
    struct run *run = argument;
    exec_program(run->command);
    run->failed = true;
    return 1;
}

static void *stack_top(const struct mm_os_command *command, size_t size)
{
    uintptr_t top = (uintptr_t)command->stack + size;
    return (void *)(top - top % 16);
}

static void reap(pid_t child, int options)
{
    while (child > 0 && mm_kernel_waitpid(child, NULL, options) < 0 && errno == EINTR)
        ;
}

/* True at the end of the output, or when no more of it fits; false when it takes too long. */
static bool read_output(const struct mm_os_command *command, size_t *length)
{
    while (*length < command->output_size) {
        if (!mm_os_wait_for(OUTPUT, POLLIN, command->give_up))
            return false;
        size_t got = mm_os_read(OUTPUT, command->output + *length, command->output_size - *length);
        if (got == 0)
            return true;
        *length += got;
    }
    return true;
}

/* From here on a sandbox may end what it does not allow: its handler's memory is the parent's. Nor
 * does this outlive its parent, whose memory it would keep. */
static int run_program(void *argument)
{
    struct run *run = argument;
    sigset_t all;
    sigfillset(&all);
    mm_kernel_sigmask(SIG_SETMASK, &all, NULL);
    mm_kernel_die_with_parent();
    if (!set_files())
        return 1;
    void *stack = stack_top(run->command, run->command->stack_size / 2);
    run->program = __clone(become_program, stack, CLONE_VM | CLONE_VFORK | SIGCHLD, run);
    mm_kernel_close(INPUT);
    if (run->program > 0 && !run->failed)
        run->in_time = read_output(run->command, &run->length);
    if (run->program > 0)
        mm_kernel_kill(run->program);
    reap(run->program, (int)__WALL);
    return 0;
}

/* In two steps: a child of ours that did an exec would raise SIGCHLD and end in the program's own
 * waits, as would one that is left behind when ours is process 1 or a subreaper. The one in between
 * sees to the program and ends without a signal; only we know of it. */
bool mm_os_run(const struct mm_os_command *command, size_t *output_length)
{
    struct run run = {.command = command};
    void *stack = stack_top(command, command->stack_size);
    struct mm_ids ids;
    mm_os_keep_ids(&ids);
    reap(__clone(run_program, stack, CLONE_VM | CLONE_VFORK, &run), (int)__WCLONE);
    mm_os_put_ids_back(&ids);
    *output_length = run.length;
    return run.in_time;
}
