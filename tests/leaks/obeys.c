/* obeys.c - loses as many blocks of 100 bytes as a line of stdin says, and says so when it did. */
#include "planted.h"

#include <stdio.h>
#include <unistd.h>

int main(void)
{
    int count;
    while (scanf("%d", &count) == 1) {
        for (int i = 0; i < count; i++)
            take(100);
        wipe();
        puts("done");
        fflush(stdout);
    }
    _exit(0);
}
