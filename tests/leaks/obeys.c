/* obeys.c [TEXT] - loses as many blocks of 100 bytes as a line of stdin says, and says so when it
 * did. With a text, a handler of its own answers who asks for leaks: by the text, or by nothing,
 * where that is empty. */
#include "planted.h"

#include "leaks/answer.def"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PART = 10000 };

static const char *text;

__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return getenv("OBEYS_OFF") != NULL;
}

static void answer(int number, siginfo_t *info, void *context)
{
    char path[64];
    (void)number;
    (void)context;
    snprintf(path, sizeof path, MM_ANSWER_FOLDER "/" MM_ANSWER_NAME "%d", info->si_value.sival_int);
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    close(fd);
}

static void **ballast;

/* So large that a look goes on beside it, if the environment says so. */
static void grow(void)
{
    const char *mebibytes = getenv("OBEYS_LARGE");
    for (long size = mebibytes != NULL ? atol(mebibytes) << 20 : 0; size > 0; size -= PART) {
        void **next = take(PART);
        next[0] = (void *)ballast;
        ballast = next;
    }
}

int main(int count_of_arguments, char **arguments)
{
    grow();
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART};
    int count;
    action.sa_sigaction = answer;
    text = count_of_arguments > 1 ? arguments[1] : NULL;
    if (text != NULL)
        sigaction(SIGUSR2, &action, NULL);
    while (scanf("%d", &count) == 1) {
        for (int i = 0; i < count; i++)
            take(100);
        wipe();
        puts("done");
        fflush(stdout);
    }
    _exit(0);
}
