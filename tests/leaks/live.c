/* live.c - looks at a process that goes on: by mem_mngr_leaks() and by the signal of
 * MM_LEAKS_SIGNAL. Nothing of them is seen: no SIGCHLD, no child to wait for, no descriptor, no
 * call that ends early. */
#include "planted.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

size_t mem_mngr_leaks(void) __attribute__((weak));

static void fail(const char *what)
{
    printf("FAILED: %s\n", what);
    exit(1);
}

static void child_ended(int signal)
{
    (void)signal;
    static const char text[] = "FAILED: SIGCHLD\n";
    if (write(STDOUT_FILENO, text, sizeof text - 1) != 0)
        _exit(1);
}

/* The lowest that is free. */
static int next_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY);
    close(fd);
    return fd;
}

static void plant(void)
{
    void **shared = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[70000] = take(400); /* kept */
    take(101);
    take(102);
}

/* Another process sends the signal while this one waits: its own would come too early. */
static void wait_for_signal(int signal)
{
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        poll(NULL, 0, 100);
        kill(parent, signal);
        _exit(0);
    }
    struct sigaction by_default = {.sa_handler = SIG_DFL}, before;
    sigaction(SIGCHLD, &by_default, &before);
    errno = 0;
    if (poll(NULL, 0, 1000) != 0)
        fail("poll() ended early");
    waitpid(child, NULL, 0);
    sigaction(SIGCHLD, &before, NULL);
}

int main(void)
{
    struct sigaction action = {.sa_handler = child_ended};
    sigaction(SIGCHLD, &action, NULL);
    plant();
    wipe();
    int fd = next_descriptor();
    for (int i = 0; i < 20; i++) {
        if (mem_mngr_leaks == NULL || mem_mngr_leaks() != 2)
            fail("not two leaks");
    }
    fflush(stdout);
    wait_for_signal(SIGUSR1);
    if (next_descriptor() != fd)
        fail("a descriptor is left");
    if (waitpid(-1, NULL, WNOHANG | __WALL) >= 0 || errno != ECHILD)
        fail("a child is left");
    puts("all is as it was");
    return 0;
}
