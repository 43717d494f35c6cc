/* logs.c - processes whose findings logs_test.py looks for in their logs.
 *
 *   logs FINDINGS [daemon]   waits for the end of stdin, then makes so many findings, each at a
 * stack of its own, and says so on stdout, a byte for each; as a daemon first leaves its files
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Whether it goes by left() at each of its turns tells a finding's stack from others'. */
__attribute__((noinline)) static void left(unsigned number, unsigned bits);
__attribute__((noinline)) static void turn(unsigned number, unsigned bits)
{
    char *volatile block;
    if (bits > 0) {
        if (number & 1)
            turn(number >> 1, bits - 1);
        else
            left(number >> 1, bits - 1);
        __asm__ volatile("");
        return;
    }
    block = malloc(40);
    free(block);
    free(block);
}

__attribute__((noinline)) static void left(unsigned number, unsigned bits)
{
    turn(number, bits);
    __asm__ volatile("");
}

int main(int count, char **arguments)
{
    char byte;
    if (errno != 0) /* whatever the start of the shim came upon */
        return 2;
    unsigned findings = count > 1 ? (unsigned)atoi(arguments[1]) : 0;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    int acknowledged = dup(STDOUT_FILENO);
    if (count > 2 && daemon(0, 0) != 0)
        return 1;
    for (unsigned i = 0; i < findings; i++) {
        turn(i, 7);
        if (write(acknowledged, ".", 1) != 1)
            return 1;
        usleep(500); /* who stops or ends it is to find it at work */
    }
    return 0;
}
