/* checks.c - one case of each finding that MM_DEBUG brings and of each way to it, for the exact
 * report; all combinations are in damages.cpp. With MISUSE_TWIN set the same is done correctly, and
 * nothing is told. */
#include "misuse.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

size_t mem_mngr_check(void) __attribute__((weak));

enum { SIZE = 40, SIZE_OF_MOST_PAGES = 1 << 20, TRIES = 1000 };

static bool is_twin(void)
{
    return getenv("MISUSE_TWIN") != NULL;
}

/* --- blocks, by functions that the reports name --- */

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

/* --- overflows, underflows --- */

static void write_behind(char *block, size_t bytes)
{
    memset(hidden(block + SIZE - (is_twin() ? bytes : 0)), 'x', bytes);
}

static void write_before(char *block, size_t bytes)
{
    memset(hidden(block - (is_twin() ? 0 : bytes)), 'x', bytes);
}

void overflow_at_free(void)
{
    char *block = allocated_here(SIZE);

    write_behind(block, 8);
    freed_here(block);
}

void underflow_at_free(void)
{
    char *block = allocated_here(SIZE);

    write_before(block, 8);
    freed_here(block);
}

void overflow_forwarded(void)
{
    char *block = allocated_here(LARGE);

    memset(hidden(block + LARGE - (is_twin() ? 3 : 0)), 'x', 3);
    freed_here(block);
}

/* Bytes between the two belong to both. */
void overflow_between_neighbours(void)
{
    char *block = allocated_here(SIZE);
    char *above = hidden(malloc(SIZE));

    publish_pointer("ABOVE", above);
    write_behind(block, 1);
    free(above);
    freed_here(block);
}

void underflow_between_neighbours(void)
{
    char *below = hidden(malloc(SIZE));
    char *block = allocated_here(SIZE);

    publish_pointer("BELOW", below);
    write_before(block, 1);
    free(below);
    freed_here(block);
}

void overflow_at_realloc(void)
{
    char *block = allocated_here(SIZE);

    write_behind(block, 1);
    free(hidden(realloc(block, 10 * SIZE)));
}

void overflow_at_exit(void)
{
    write_behind(allocated_here(SIZE), 1);
}

void overflow_on_check(void)
{
    char *block = allocated_here(SIZE);

    write_behind(block, 1);
    CHECK(mem_mngr_check() == (is_twin() ? 0 : 1));
    CHECK(mem_mngr_check() == 0);
    freed_here(block);
}

void overflow_in_another_thread(void)
{
    struct worker worker;
    char *block = allocated_here(SIZE);

    worker_start(&worker, "other", freed_here, block);
    write_behind(block, 1);
    worker_finish(&worker);
}

void overflow_in_a_child(void)
{
    int status;
    char *block = allocated_here(SIZE);
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        publish_number("CHILD", (size_t)getpid());
        write_behind(block, 1);
        freed_here(block);
        exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    freed_here(block);
}

/* More blocks than a child looks at that are its parent's. */
void overflow_of_a_child(void)
{
    int status;
    for (int i = 0; i < 40000; i++)
        CHECK(malloc(SIZE) != NULL);
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        publish_number("CHILD", (size_t)getpid());
        write_behind(allocated_here(SIZE), 1);
        exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* --- writes to freed blocks --- */

void write_freed(char *block, size_t at)
{
    if (is_twin()) {
        block[at] = 'x';
    }
    freed_here(block);
    if (!is_twin()) {
        memset(hidden(block + at), 'x', 1);
    }
}

void use_after_free_at_exit(void)
{
    write_freed(allocated_here(SIZE), SIZE - 1);
}

void use_after_free_on_check(void)
{
    write_freed(allocated_here(SIZE), 0);
    CHECK(mem_mngr_check() == (is_twin() ? 0 : 1));
    CHECK(mem_mngr_check() == 0);
}

void use_after_free_of_given_back_page(void)
{
    write_freed(allocated_here(SIZE_OF_MOST_PAGES), SIZE_OF_MOST_PAGES / 2);
    CHECK(mem_mngr_check() == (is_twin() ? 0 : 1));
}

/* At the free that it makes room for. */
void use_after_free_leaving(void)
{
    write_freed(allocated_here(SIZE), 20);
    for (int i = 0; i < TRIES; i++) {
        free(hidden(malloc(1000)));
    }
}

/* --- second frees --- */

void second_free(void *block)
{
    if (!is_twin()) {
        free(hidden(block));
    }
}

void double_after_many(void)
{
    void *block = allocated_here(SIZE);

    freed_here(block);
    for (int i = 0; i < TRIES; i++) {
        free(hidden(malloc(SIZE)));
    }
    second_free(block);
}

void *allocated_by_next_owner(size_t size)
{
    return hidden(malloc(size));
}

void freed_by_next_owner(void *block)
{
    free(hidden(block));
}

/* Nothing is held, so that the second free takes the block from its next owner. Of slots those are
 * handed out again whose neighbours were freed, too. */
void freed_under_next_owner(size_t size)
{
    void *others[TRIES];
    int count = 0;
    void *block;

    for (int i = 0; i < TRIES / 10; i++) {
        others[i] = hidden(malloc(size));
    }
    block = allocated_here(size);
    for (int i = 0; i < TRIES / 10; i++) {
        free(others[i]);
    }
    freed_here(block);
    do {
        CHECK(count < TRIES);
        others[count] = allocated_by_next_owner(size);
    } while (others[count++] != block);
    second_free(block);
    while (count > 0) {
        freed_by_next_owner(others[--count]);
    }
}

void stale_free(void)
{
    freed_under_next_owner(SIZE);
}

void stale_free_forwarded(void)
{
    freed_under_next_owner(LARGE);
}

/* --- sizes --- */

void ask_for(void *ptr, void *good)
{
    CHECK(malloc_usable_size(hidden(is_twin() ? good : ptr)) == (is_twin() ? SIZE : 0));
}

void query_of_freed(void)
{
    void *block = allocated_here(SIZE);
    void *good = hidden(malloc(SIZE));

    freed_here(block);
    ask_for(block, good);
}

void query_of_interior(void)
{
    char *block = hidden(malloc(SIZE));

    publish_pointer("PTR", block + 8);
    ask_for(block + 8, block);
}

void query_of_interior_forwarded(void)
{
    char *block = hidden(malloc(LARGE));
    void *good = hidden(malloc(SIZE));

    publish_pointer("BLOCK", block);
    publish_pointer("PTR", block + 500);
    ask_for(block + 500, good);
}

void query_of_stack(void)
{
    char local[64];
    void *good = hidden(malloc(SIZE));

    publish_pointer("PTR", local);
    ask_for(local, good);
}

/* --- sized frees --- */

void free_sized(void *ptr, size_t size);
void free_aligned_sized(void *ptr, size_t alignment, size_t size);
#pragma weak free_sized
#pragma weak free_aligned_sized

void free_sized_of_another_size(void)
{
    free_sized(allocated_here(SIZE), is_twin() ? SIZE : SIZE + 8);
}

void free_sized_of_another_alignment(void)
{
    void *block = hidden(aligned_alloc(64, 128));

    publish_pointer("PTR", block);
    free_aligned_sized(block, is_twin() ? 64 : 32, 128);
}

static const struct misuse_case checks[] = {
    MISUSE_CASE(overflow_at_free),
    MISUSE_CASE(underflow_at_free),
    MISUSE_CASE(overflow_forwarded),
    MISUSE_CASE(overflow_between_neighbours),
    MISUSE_CASE(underflow_between_neighbours),
    MISUSE_CASE(overflow_at_realloc),
    MISUSE_CASE(overflow_at_exit),
    MISUSE_CASE(overflow_on_check),
    MISUSE_CASE(overflow_in_another_thread),
    MISUSE_CASE(overflow_in_a_child),
    MISUSE_CASE(overflow_of_a_child),
    MISUSE_CASE(use_after_free_at_exit),
    MISUSE_CASE(use_after_free_on_check),
    MISUSE_CASE(use_after_free_of_given_back_page),
    MISUSE_CASE(use_after_free_leaving),
    MISUSE_CASE(double_after_many),
    MISUSE_CASE(stale_free),
    MISUSE_CASE(stale_free_forwarded),
    MISUSE_CASE(query_of_freed),
    MISUSE_CASE(query_of_interior),
    MISUSE_CASE(query_of_interior_forwarded),
    MISUSE_CASE(query_of_stack),
    MISUSE_CASE(free_sized_of_another_size),
    MISUSE_CASE(free_sized_of_another_alignment),
};

int main(int argc, char **argv)
{
    return run_case(checks, sizeof(checks) / sizeof(checks[0]), argc, argv);
}
