/* bounds.c - libc's functions beyond a block, told exactly so where they are called. With
 * MISUSE_TWIN set the same is done correctly, and nothing is told. Each function in turn is in
 * bounds_each.c. */
#include "misuse.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <wchar.h>

enum { SIZE = 40, HUGE_LIMIT = 1 << 20 };

static char text[HUGE_LIMIT];

static bool is_twin(void)
{
    return getenv("MISUSE_TWIN") != NULL;
}

/* What is too much, unless nothing is to be wrong. */
static size_t beyond(size_t bytes)
{
    return is_twin() ? 0 : bytes;
}

void *allocated_here(size_t size)
{
    void *block = hidden(malloc(size));

    CHECK(block != NULL);
    publish_pointer("PTR", block);
    return block;
}

void freed_here(void *block)
{
    free(hidden(block));
}

/* A file that holds so many letters. */
static int file_of(size_t size)
{
    int ends[2];

    CHECK(pipe(ends) == 0);
    memset(text, 'x', size);
    CHECK(write(ends[1], text, size) == (ssize_t)size);
    close(ends[1]);
    return ends[0];
}

/* --- exact lengths: told before anything happens --- */

void overflow_by_memcpy(void)
{
    char *block = allocated_here(SIZE);

    BAD_CALL(memcpy(block + 8, text, SIZE - 8 + beyond(8)));
    CHECK(block[SIZE - 1] == '\0');
    free(block);
}

/* Allocated inside of a function that is called through ours. */
void overflow_of_copied(void)
{
    char *block;

    memset(text, 'x', SIZE - 1);
    text[SIZE - 1] = '\0';
    block = hidden(strdup(text));
    publish_pointer("PTR", block);
    BAD_CALL(memset(block, 0, SIZE + beyond(1)));
    free(block);
}

void overflow_of_forwarded(void)
{
    char *block = allocated_here(LARGE);

    BAD_CALL(memset(block + LARGE - 8, 0, 8 + beyond(1)));
    free(block);
}

void underflow_by_memmove(void)
{
    char *below = hidden(malloc(SIZE)), *block = allocated_here(SIZE);

    BAD_CALL(memmove(block - beyond(8), text, 16));
    free(block);
    free(below);
}

void over_read_by_strlen(void)
{
    char *block = allocated_here(SIZE);
    volatile size_t length;

    memset(block, 'x', SIZE);
    block[SIZE - 1] = is_twin() ? '\0' : 'x';
    BAD_CALL(length = strlen(block));
    CHECK(length >= SIZE - 1);
    free(block);
}

void under_read_by_memcpy(void)
{
    char *below = hidden(malloc(SIZE)), *block = allocated_here(SIZE);

    BAD_CALL(memcpy(text, block - beyond(4), 8));
    free(block);
    free(below);
}

void overflow_by_strcpy(void)
{
    char *block = allocated_here(SIZE);

    memset(text, 'x', SIZE - 1 + beyond(1));
    BAD_CALL(strcpy(block, text));
    free(block);
}

void overflow_by_wide_copy(void)
{
    wchar_t *block = allocated_here(SIZE);

    BAD_CALL(wmemset(block, L'x', SIZE / sizeof(wchar_t) + beyond(1)));
    free(block);
}

void overflow_by_sprintf(void)
{
    char *block = allocated_here(SIZE);

    BAD_CALL(sprintf(block, "%*d", (int)(SIZE - 1 + beyond(1)), 7));
    CHECK(block[SIZE - 2 + beyond(1)] == '7');
    free(block);
}

void use_after_free_by_memcpy(void)
{
    char *block = allocated_here(SIZE);

    if (!is_twin())
        freed_here(block);
    BAD_CALL(memcpy(text, block + 3, 4));
    if (is_twin())
        freed_here(block);
}

void use_after_free_of_forwarded(void)
{
    char *block = allocated_here(LARGE);

    if (!is_twin())
        freed_here(block);
    BAD_CALL(memset(block, 'x', 4));
    if (is_twin())
        freed_here(block);
}

void use_after_free_by_printf(void)
{
    char *block = allocated_here(SIZE);
    FILE *nowhere = fopen("/dev/null", "w");

    strcpy(block, "text");
    if (!is_twin())
        freed_here(block);
    BAD_CALL(fprintf(nowhere, "%d %.3s\n", 1, block));
    if (is_twin())
        freed_here(block);
    fclose(nowhere);
}

void overlap_by_memcpy(void)
{
    char *block = allocated_here(SIZE);

    BAD_CALL(memcpy(block, block + 8, 8 + beyond(1)));
    BAD_CALL(memcpy(block, hidden(block), SIZE)); /* as compilers do */
    free(block);
}

/* --- lengths at most: told by what was done --- */

void overflow_by_read(void)
{
    char *block = allocated_here(SIZE);
    int file = file_of(SIZE + beyond(8));

    BAD_CALL(CHECK(read(file, block, HUGE_LIMIT) == (ssize_t)(SIZE + beyond(8))));
    close(file);
    free(block);
}

void overflow_by_readv(void)
{
    char *block = allocated_here(SIZE);
    int file = file_of(SIZE + 8 + beyond(1));
    struct iovec pieces[] = {{text, 8}, {block, HUGE_LIMIT}};

    BAD_CALL(CHECK(readv(file, pieces, 2) == (ssize_t)(SIZE + 8 + beyond(1))));
    close(file);
    free(block);
}

void overflow_by_fgets(void)
{
    char *block = allocated_here(SIZE);
    FILE *file = fdopen(file_of(SIZE - 1 + beyond(1)), "r");

    BAD_CALL(CHECK(fgets(block, HUGE_LIMIT, file) == block));
    fclose(file);
    free(block);
}

void overflow_by_snprintf(void)
{
    char *block = allocated_here(SIZE);

    BAD_CALL(snprintf(block, HUGE_LIMIT, "%s",
                      is_twin() ? "short" : "a text of some more than forty letters in all"));
    free(block);
}

/* --- correct programs --- */

/* Whatever may be used is used, and what may be said is: limits that nothing comes near. */
void nothing_beyond(void)
{
    char *block = allocated_here(SIZE), *other = hidden(malloc(SIZE));
    char *line = NULL;
    size_t size = 0;
    FILE *file = fdopen(file_of(3 * SIZE), "r");

    memset(block, 'x', SIZE);
    memset(other, 'x', SIZE);
    CHECK(memchr(block, 'x', SIZE_MAX) == block);
    CHECK(strnlen(block, SIZE) == SIZE);
    other[SIZE - 1] = 'y';
    CHECK(memcmp(block, other, HUGE_LIMIT) < 0);
    CHECK(strncmp(block, other, HUGE_LIMIT) < 0);
    CHECK(strcmp(block, other) < 0);
    CHECK(strchr(other, 'y') == other + SIZE - 1);
    CHECK(memccpy(block, other, 'y', HUGE_LIMIT) == block + SIZE);
    memmove(block + SIZE, block, 0);
    snprintf(text, sizeof text, "%.*s%.4s", SIZE, block, other);
    CHECK(strlen(text) == SIZE + 4);
    CHECK(getline(&line, &size, file) == 3 * SIZE);
    other[SIZE - 1] = '\0';
    CHECK(strlen(other) == SIZE - 1);
    CHECK(strtol("12 ", NULL, 0) == 12);
    block[0] = '7';
    block[1] = ' ';
    CHECK(strtol(block, NULL, 10) == 7);
    char *end = text;
    CHECK(strtol(block, NULL, 1) == 0 && strtol(block, &end, 1) == 0 && end == text);
    CHECK(strtol(block, &end, 10) == 7 && end == block + 1);
    block = realloc(block, 2 * SIZE);
    memset(block, 0, 2 * SIZE);
    fclose(file);
    free(line);
    free(block);
    free(other);
}

/* --- blocks that end at a page that nobody may touch: the same, and calls do what they would ---
 */

enum { PAGED = 48, FURTHER = 4000 };

void page_overflow_by_read(void)
{
    char *block = allocated_here(PAGED);
    int file = file_of(PAGED + beyond(FURTHER));

    BAD_CALL(CHECK(read(file, block, HUGE_LIMIT) == (ssize_t)(PAGED + beyond(FURTHER))));
    CHECK(block[PAGED - 1 + beyond(FURTHER)] == 'x');
    close(file);
    free(block);
}

void page_overflow_by_readv(void)
{
    char *block = allocated_here(PAGED);
    int file = file_of(PAGED + 8 + beyond(FURTHER));
    struct iovec pieces[] = {{text, 8}, {block, HUGE_LIMIT}};

    BAD_CALL(CHECK(readv(file, pieces, 2) == (ssize_t)(PAGED + 8 + beyond(FURTHER))));
    close(file);
    free(block);
}

void page_over_read_by_write(void)
{
    char *block = allocated_here(PAGED);
    int ends[2];

    CHECK(pipe(ends) == 0);
    memset(block, 'x', PAGED);
    BAD_CALL(CHECK(write(ends[1], block, PAGED + beyond(FURTHER)) ==
                   (ssize_t)(PAGED + beyond(FURTHER))));
    close(ends[0]);
    close(ends[1]);
    free(block);
}

void page_use_after_free_by_read(void)
{
    char *block = allocated_here(PAGED);
    int file = file_of(8);

    memset(block, 'y', PAGED);
    if (!is_twin())
        freed_here(block);
    BAD_CALL(CHECK(read(file, block, 8) == 8));
    CHECK(block[7] == 'x' && block[8] == 'y');
    close(file);
    if (is_twin())
        freed_here(block);
}

void page_overflow_by_memcpy(void)
{
    char *block = allocated_here(PAGED);

    memset(text, 'x', PAGED + FURTHER);
    BAD_CALL(memcpy(block, text, PAGED + beyond(FURTHER)));
    CHECK(block[PAGED - 1 + beyond(FURTHER)] == 'x');
    free(block);
}

/* By its instructions alone, which read ahead of what is known of the text. */
void page_over_read_by_strspn(void)
{
    char *block = allocated_here(PAGED);

    memset(block, 'x', PAGED);
    block[PAGED - 1] = is_twin() ? '\0' : 'x';
    BAD_CALL(CHECK(strspn(block, "x") == PAGED - is_twin()));
    free(block);
}

static const struct misuse_case cases[] = {
    MISUSE_CASE(overflow_by_memcpy),          MISUSE_CASE(overflow_of_copied),
    MISUSE_CASE(overflow_of_forwarded),       MISUSE_CASE(underflow_by_memmove),
    MISUSE_CASE(over_read_by_strlen),         MISUSE_CASE(under_read_by_memcpy),
    MISUSE_CASE(overflow_by_strcpy),          MISUSE_CASE(overflow_by_wide_copy),
    MISUSE_CASE(overflow_by_sprintf),         MISUSE_CASE(use_after_free_by_memcpy),
    MISUSE_CASE(use_after_free_of_forwarded), MISUSE_CASE(use_after_free_by_printf),
    MISUSE_CASE(overlap_by_memcpy),           MISUSE_CASE(overflow_by_read),
    MISUSE_CASE(overflow_by_readv),           MISUSE_CASE(overflow_by_fgets),
    MISUSE_CASE(overflow_by_snprintf),        MISUSE_CASE(nothing_beyond),
    MISUSE_CASE(page_overflow_by_read),       MISUSE_CASE(page_overflow_by_readv),
    MISUSE_CASE(page_over_read_by_write),     MISUSE_CASE(page_use_after_free_by_read),
    MISUSE_CASE(page_overflow_by_memcpy),     MISUSE_CASE(page_over_read_by_strspn),
};

int main(int argc, char **argv)
{
    return run_case(cases, sizeof cases / sizeof cases[0], argc, argv);
}
