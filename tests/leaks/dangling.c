/* dangling.c CASE - pointers to freed blocks, each of a size of its own, where they lie; and what
 * is none: cleared ones, to memory that is in use again, and on the stack. */
#include "planted.h"

#include <stdlib.h>
#include <string.h>

void **kept, *global, *inside; /* exported, so that the report names them */

static void in_block(void)
{
    kept = take(40);
    kept[2] = take(101);
    free(kept[2]);
}

static volatile int blocks = 2; /* of a number unknown to the compiler: one place of each call */

static void in_two_blocks(void)
{
    void **chain = NULL;
    for (int i = 0; i < blocks; i++) {
        void **block = take(40);
        block[0] = chain;
        block[1] = take(102);
        free(block[1]);
        chain = block;
    }
    kept = chain;
}

static void in_global(void)
{
    global = take(103);
    free(global);
}

static void to_inside(void)
{
    char *block = (char *)take(104);
    inside = block + 100;
    free(block);
}

static void to_large(void)
{
    global = take(200000);
    free(global);
}

/* Beside others that are held as well. */
static void to_one_of_large(void)
{
    void *others[4];
    for (unsigned i = 0; i < 4; i++)
        others[i] = take(300000 + i * 100000);
    to_large();
    for (unsigned i = 0; i < 4; i++)
        free(others[i]);
    memset(others, 0, sizeof others);
}

static void cleared(void)
{
    in_block();
    kept[2] = NULL;
    in_global();
    global = NULL;
}

static void behind(void)
{
    char *block = (char *)take(105);
    inside = block + 105;
    free(block);
}

static void lost(void)
{
    void **block = take(40);
    block[0] = take(106);
    free(block[0]);
}

static void on_stack(void)
{
    void *volatile here = take(107);
    free(here);
    exit(0);
}

static const struct planted cases[] = {
    {"in_block", in_block},   {"in_two_blocks", in_two_blocks},
    {"in_global", in_global}, {"to_inside", to_inside},
    {"to_large", to_large},   {"to_one_of_large", to_one_of_large},
    {"cleared", cleared},     {"behind", behind},
    {"lost", lost},           {"on_stack", on_stack}};

int main(int argc, char **argv)
{
    return planted_main(cases, sizeof cases / sizeof cases[0], argc, argv);
}
