/* titled.c TENTHS - a daemon that shows a title where its arguments and its environment were, as
 * servers do: its id to stdout, and a double free after so many tenths of a second. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void show_title(int count, char **arguments)
{
    char *end = arguments[count - 1] + strlen(arguments[count - 1]) + 1;
    for (char **variable = environ; *variable != NULL; variable++) {
        if (*variable == end)
            end += strlen(end) + 1;
        *variable = strdup(*variable);
    }
    memset(arguments[0], 0, (size_t)(end - arguments[0]));
    strcpy(arguments[0], "titled: at work");
}

int main(int count, char **arguments)
{
    int tenths = atoi(arguments[1]);
    show_title(count, arguments);
    pid_t daemon = fork();
    if (daemon != 0) {
        printf("%d\n", (int)daemon);
        return daemon < 0;
    }
    setsid();
    fclose(stdout);
    void *volatile block = malloc(40);
    usleep((useconds_t)tenths * 100000);
    free(block);
    free(block);
    return 0;
}
