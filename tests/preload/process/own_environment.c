/* A program with functions of its own for its variables, as shells have them, and a sort of its
 * own, by names of libc's: neither the start nor a snapshot calls them. The environment is what it
 * would be without the shim. Nothing of check.h here, which needs libc's. */
#include <stdio.h>
#include <string.h>

extern char **environ;
void *malloc(size_t size);
_Noreturn void abort(void);
int getenv(int number);
int unsetenv(int number);
int setenv(int number);
void qsort(int values[], int left, int right);

static void *volatile kept[64];

static int called(const char *name)
{
    fprintf(stderr, "called: %s\n", name);
    abort();
}

int getenv(int number)
{
    return number + called("getenv");
}

int unsetenv(int number)
{
    return number + called("unsetenv");
}

int setenv(int number)
{
    return number + called("setenv");
}

void qsort(int values[], int left, int right)
{
    values[left] = values[right] = called("qsort");
}

int main(void)
{
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        kept[i] = malloc(16 * (i % 7 + 1));
    kept[0] = malloc((size_t)1 << 20);
    for (char **variable = environ; *variable != NULL; variable++) {
        if (strncmp(*variable, "LD_PRELOAD", 10) == 0)
            return puts("left there"), 1;
    }
    return 0;
}
