/* check.h - what the programs of this folder share.
 *
 * Each of them tests one way in which processes lean on their allocator. None may cause a word
 * from the shim: bad frees are made in a run of the program by itself (run_self) whose stderr is
 * read and compared. Everything here works without allocating.
 */
#ifndef PROCESS_CHECK_H
#define PROCESS_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* If it does not hold, the program says where and ends with status 1. */
#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

#define SKIPPED 77 /* exit status that CTest shows as "skipped" */

void check_failed(const char *file, int line, const char *condition) __attribute__((noreturn));

/* The same pointer, of which the compiler no longer knows where it came from. */
static inline void *hide(const void *pointer)
{
    void *hidden = (void *)pointer;
    __asm__ volatile("" : "+r"(hidden) : : "memory");
    return hidden;
}

/* Whether malloc() is the shim's. A program started with the shim in LD_PRELOAD checks by itself
 * that it is; run without, it tests the C library the same way, except for the reports. */
bool interposed(void);

/* Runs this program again with one argument; reads its stderr, as text, into err. Returns its
 * status as waitpid() gives it; a run that hangs ends by SIGALRM. */
int run_self(const char *argument, char *err, size_t size);
/* The same without any preload, for what libc does by itself. A hang there ends soon. */
int run_self_alone(const char *argument, char *err, size_t size);

bool exited_with(int wait_status, int exit_status);
size_t occurrences(const char *text, const char *part);

/* Fills `size` bytes, at most PATTERN_SIZE, in a way that differs by seed; and whether it is
 * all still there. */
#define PATTERN_SIZE ((size_t)4 << 20)
void fill(void *block, size_t size, unsigned seed);
bool filled(const void *block, size_t size, unsigned seed);
bool all_zero(const void *block, size_t size);

/* Numbers that look random and are the same in each run; each thread keeps a state of its own. */
unsigned next_random(unsigned *state);

size_t resident_kib(void);
size_t address_space_kib(void);
size_t mapping_count(void);

#ifdef __cplusplus
}
#endif

#endif
