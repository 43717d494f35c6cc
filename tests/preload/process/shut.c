/* Pages of blocks that the program may not touch, by its own mprotect(): guard pages below a stack
 * that was allocated, code that may only be read. The checks look at such blocks and fill them as
 * they are freed; whoever gets the memory next can use it. */
#include "check.h"
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern size_t mem_mngr_check(void) __attribute__((weak));

enum place { ALL, FIRST, LAST, MIDDLE, PLACES };

static size_t page;

static char *up(char *at)
{
    return at + (page - (uintptr_t)at % page) % page;
}

/* Whole pages of the block. */
static void shut(char *block, size_t size, enum place where, int access)
{
    char *start = up(block);
    size_t pages = (size_t)(block + size - start) / page;

    CHECK(pages > 0);
    if (where == FIRST || where == LAST || where == MIDDLE) {
        start += (where == LAST ? pages - 1 : where == MIDDLE ? pages / 2 : 0) * page;
        pages = 1;
    }
    CHECK(mprotect(start, pages * page, access) == 0);
}

static char *by_malloc(size_t size)
{
    return malloc(size);
}

static char *by_memalign(size_t size)
{
    return memalign(page, size);
}

static char *(*const makers[])(size_t size) = {by_malloc, by_memalign};

static void check(void)
{
    CHECK(mem_mngr_check == NULL || mem_mngr_check() == 0);
}

/* Until the memory was handed out again. */
static void use_anew(char *(*make)(size_t size), size_t size)
{
    enum { COUNT = 12 };
    static char *blocks[COUNT];

    for (int i = 0; i < COUNT; i++) {
        blocks[i] = make(size);
        CHECK(blocks[i] != NULL);
        fill(blocks[i], size, (unsigned)i);
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK(filled(blocks[i], size, (unsigned)i));
        free(blocks[i]);
    }
}

static void free_shut(char *(*make)(size_t size), size_t size, enum place where, int access)
{
    char *below = make(size), *block = make(size), *above = make(size);

    CHECK(block != NULL && below != NULL && above != NULL);
    fill(block, size, 1);
    shut(block, size, where, access);
    check();
    free(above);
    free(below);
    free(block);
    check();
    use_anew(make, size);
}

static void each_shut(void)
{
    static const size_t sizes[] = {10000, 40000, 300000};
    static const int accesses[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_EXEC};

    for (size_t size = 0; size < sizeof(sizes) / sizeof(sizes[0]); size++)
        for (size_t access = 0; access < sizeof(accesses) / sizeof(accesses[0]); access++)
            for (unsigned make = 0; make < sizeof(makers) / sizeof(makers[0]); make++)
                for (enum place where = ALL; where < PLACES; where++)
                    free_shut(makers[make], sizes[size], where, accesses[access]);
}

/* mprotect() takes the page whole in which a block ends, and what guards it. */
static void shut_neighbours(void)
{
    enum { COUNT = 6, SIZE = 10000 };
    char *blocks[COUNT];

    for (int i = 0; i < COUNT; i++)
        blocks[i] = memalign(page, SIZE);
    for (int i = 0; i < COUNT; i++)
        CHECK(mprotect(blocks[i], SIZE, PROT_NONE) == 0);
    check();
    for (int i = 0; i < COUNT; i += 2)
        free(blocks[i]);
}

/* At exit, too, live blocks are looked at. */
static void leave_some_shut(void)
{
    for (unsigned make = 0; make < sizeof(makers) / sizeof(makers[0]); make++) {
        shut(hide(makers[make](30000)), 30000, ALL, PROT_NONE);
        shut(hide(makers[make](200000)), 200000, LAST, PROT_NONE);
    }
}

/* Seen all the same. */
static void write_after_free(void)
{
    char *block = memalign(page, 2 * page);

    shut(block, 2 * page, LAST, PROT_NONE);
    free(block);
    *(char *)hide(block + page + 5) = 'x';
    mem_mngr_check();
}

int main(int argc, char **argv)
{
    char err[8192];

    page = (size_t)sysconf(_SC_PAGESIZE);
    if (argc > 1 && strcmp(argv[1], "write") == 0) {
        write_after_free();
        return 0;
    }
    if (interposed()) {
        run_self("write", err, sizeof(err));
        CHECK(occurrences(err, "use-after-free") == 2 && strstr(err, "found there: 78") != NULL);
    }
    each_shut();
    if (interposed())
        shut_neighbours();
    leave_some_shut();
    return 0;
}
