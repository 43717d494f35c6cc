/* Half a gigabyte of blocks of mixed sizes, allocated, freed by half, freed all: the kernel allows
 * a process 65,530 mappings by default, and an allocator has no right to more than a few. Nor has
 * it to core files of the size of what is only reserved. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOTAL            ((size_t)500 << 20)
#define BLOCKS           ((size_t)1 << 20)
#define MAPPINGS_ALLOWED 300

static char *blocks[BLOCKS];

static void check_mappings(const char *when)
{
    size_t count = mapping_count();

    if (count >= MAPPINGS_ALLOWED)
        dprintf(STDOUT_FILENO, "%zu mappings %s\n", count, when);
    CHECK(count < MAPPINGS_ALLOWED);
}

/* Each power of two up to 64 KiB is as likely as the others. Beyond, libc gives each block a
 * mapping of its own. */
static size_t mixed_size(unsigned *state)
{
    unsigned bits = 4 + next_random(state) % 12;

    return ((size_t)1 << bits) + next_random(state) % ((size_t)1 << bits);
}

/* Small blocks only. */
static size_t small_size(unsigned *state)
{
    return 400 + next_random(state) % 600;
}

static void test(size_t (*size_of_next)(unsigned *), size_t total)
{
    unsigned state = 1;
    size_t count = 0;
    size_t got = 0;

    while (got < total) {
        size_t size = size_of_next(&state);

        CHECK(count < BLOCKS);
        blocks[count] = malloc(size);
        CHECK(blocks[count] != NULL);
        blocks[count][size - 1] = 1;
        got += size;
        count++;
    }
    check_mappings("with all allocated");
    for (size_t i = 0; i < count; i++)
        if (next_random(&state) % 2) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
    check_mappings("with half freed");
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    check_mappings("with all freed");
}

/* Bytes of all mappings that a core file or a debugger's copy of the process holds. */
static size_t dumped_bytes(void)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    char line[512];
    size_t sum = 0, kib = 0;

    CHECK(smaps != NULL);
    while (fgets(line, sizeof line, smaps) != NULL) {
        if (strncmp(line, "Size:", 5) == 0)
            kib = strtoul(line + 5, NULL, 10);
        else if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dd") == NULL)
            sum += kib * 1024;
    }
    fclose(smaps);
    return sum;
}

int main(void)
{
    CHECK(dumped_bytes() < (size_t)64 << 20);
    test(mixed_size, TOTAL);
    test(small_size, TOTAL / 2);
    CHECK(dumped_bytes() < 2 * TOTAL);
    return 0;
}
