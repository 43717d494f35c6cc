/* Other ways to start a process, from one whose threads are in the middle of malloc. */
#include "check.h"

#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 15

extern char **environ;

static volatile bool stop;

static void *be_busy(void *unused)
{
    unsigned state = 1;

    (void)unused;
    while (!stop) {
        void *small = malloc(next_random(&state) % 2000);
        void *large = malloc(next_random(&state) % 100000);

        free(small);
        free(large);
    }
    return NULL;
}

static void wait_for(pid_t child)
{
    int status;

    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(exited_with(status, 9));
}

static void test_vfork(void)
{
    pid_t child = vfork();

    if (child == 0) {
        execl("/proc/self/exe", "spawn", "started", (char *)NULL);
        _exit(1);
    }
    wait_for(child);
}

static void test_posix_spawn(void)
{
    char *arguments[] = {(char *)"spawn", (char *)"started", NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;

    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, 5, "/dev/null", 0, 0) == 0);
    CHECK(posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environ) == 0);
    CHECK(posix_spawn_file_actions_destroy(&actions) == 0);
    wait_for(child);
    CHECK(posix_spawnp(&child, "no-such-program-anywhere", NULL, NULL, arguments, environ) != 0);
}

static void test_shell(void)
{
    char line[100];
    FILE *pipe;

    CHECK(exited_with(system("exit 9"), 9));
    pipe = popen("printf 'some text\\n'; exit 9", "r");
    CHECK(pipe != NULL);
    CHECK(fgets(line, sizeof(line), pipe) != NULL && strcmp(line, "some text\n") == 0);
    CHECK(exited_with(pclose(pipe), 9));
}

int main(int argc, char **argv)
{
    pthread_t busy[2];

    if (argc > 1) {
        CHECK(strcmp(argv[1], "started") == 0);
        free(malloc(100));
        free(malloc(100000));
        return 9;
    }
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&busy[i], NULL, be_busy, NULL) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        test_vfork();
        test_posix_spawn();
        test_shell();
    }
    stop = true;
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(busy[i], NULL) == 0);
    return 0;
}
