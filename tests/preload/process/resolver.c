/* Functions of the program that the dynamic linker finds by resolvers, which ask for memory: they
 * run before thread-local variables have their values, and what they got is a block like any. */
#include "check.h"

#include <malloc.h>
#include <stdlib.h>

#define BLOCKS 40

static void *blocks[BLOCKS];
static unsigned taken;

static size_t size_of(unsigned number)
{
    return number % 8 == 7 ? 100000 : 24 + (size_t)number * 100;
}

static unsigned plus_one(unsigned number)
{
    return number + 1;
}

typedef unsigned add_fn(unsigned number);

static add_fn *choose(unsigned count)
{
    for (unsigned i = 0; i < count; i++, taken++) {
        blocks[taken] = taken % 3 == 0 ? calloc(1, size_of(taken)) : malloc(size_of(taken));
        fill(blocks[taken], size_of(taken), taken);
        free(hide(malloc(size_of(taken))));
    }
    blocks[0] = realloc(blocks[0], size_of(0) + 1);
    return plus_one;
}

__attribute__((used)) static add_fn *choose_first(void)
{
    return choose(BLOCKS / 2);
}

__attribute__((used)) static add_fn *choose_second(void)
{
    return choose(BLOCKS / 2);
}

unsigned add_first(unsigned number) __attribute__((ifunc("choose_first")));
unsigned add_second(unsigned number) __attribute__((ifunc("choose_second")));

int main(void)
{
    CHECK(add_first(1) == 2 && add_second(2) == 3 && taken == BLOCKS);
    for (unsigned i = 0; i < BLOCKS; i++) {
        CHECK(filled(blocks[i], size_of(i), i));
        CHECK(malloc_usable_size(blocks[i]) >= size_of(i));
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    for (unsigned i = 0; i < BLOCKS; i++)
        blocks[i] = malloc(size_of(i));
    for (unsigned i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    return 0;
}
