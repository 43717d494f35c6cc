/* Opened by bare name, by $ORIGIN, and into a namespace with a libc of its own. */
#include <stdlib.h>
#include <string.h>

int dlopen_plugin_work(void);
int dlopen_plugin_work(void)
{
    int done = 0;

    for (size_t size = 1; size < 300000; size = size * 3 / 2 + 1) {
        char *block = malloc(size);
        char *copy = strdup("some text");

        if (block == NULL || copy == NULL)
            return -1;
        memset(block, 1, size);
        block = realloc(block, size + 5000);
        if (block == NULL)
            return -1;
        done += block[size - 1];
        free(copy);
        free(block);
    }
    return done;
}
