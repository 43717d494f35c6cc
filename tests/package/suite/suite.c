/* suite.c - the tests of a suite with four bugs, by name: three that end well all the same, and one
 * in a test that is to fail. Each bug is in a function of its own. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define APART __attribute__((noinline))

APART static void bug_double_free(void)
{
    char *volatile text = malloc(100);
    free(text);
    free(text);
}

APART static void bug_overflow(void)
{
    char *volatile text = malloc(20);
    memset(text, 'x', 22);
    free(text);
}

APART static void bug_use_after_free(void)
{
    char *volatile text = malloc(30);
    free(text);
    text[3] = 'x';
}

APART static void bug_interior_free(void)
{
    char *volatile text = malloc(50);
    free(text + 16);
}

/* Whose status nobody looks at. */
APART static int swallow_status(void (*bug)(void))
{
    pid_t child = fork();
    if (child == 0) {
        bug();
        exit(0);
    }
    waitpid(child, NULL, 0);
    return 0;
}

static int good(void)
{
    char *text = strdup("all is well");
    free(text);
    return 0;
}

int main(int count, char **arguments)
{
    const char *name = count > 1 ? arguments[1] : "";
    if (strcmp(name, "double_free") == 0)
        bug_double_free();
    if (strcmp(name, "overflow") == 0)
        bug_overflow();
    if (strcmp(name, "child") == 0)
        return swallow_status(bug_use_after_free);
    if (strcmp(name, "fails_with_bug") == 0)
        bug_interior_free();
    return strncmp(name, "fails", 5) == 0 ? 3 : good();
}
