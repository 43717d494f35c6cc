/* check.h - what the unit tests share. A test is a main() of checks: the first that does not hold
 * ends it and says where. */
#ifndef UNIT_CHECK_H
#define UNIT_CHECK_H

#include "memory_manager.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))
/* These two show both sides when they differ. */
#define CHECK_EQUAL(left, right)                                                                   \
    check_equal(__FILE__, __LINE__, #left " == " #right, (uint64_t)(left), (uint64_t)(right))
#define CHECK_TEXT(text, expected) check_text(__FILE__, __LINE__, text, expected)

_Noreturn void check_failed(const char *file, int line, const char *condition);
void check_equal(const char *file, int line, const char *condition, uint64_t left, uint64_t right);
void check_text(const char *file, int line, const char *text, const char *expected);

/* How many times slower the build is, roughly; repetitions are divided by it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(MM_COVERAGE)
#define CHECK_SLOWER 10
#elif defined(CHECK_EMULATED)
#define CHECK_SLOWER 20
#else
#define CHECK_SLOWER 1
#endif

/* Numbers that look random and are the same in each run; each thread keeps a state of its own. */
uint64_t check_random(uint64_t *state);
static inline size_t check_below(uint64_t *state, size_t bound)
{
    return check_random(state) % bound;
}

bool check_all_bytes(const void *start, size_t size, unsigned char byte);

/* Runs body(number, shared) in `count` threads, numbered from 0 on, to their ends. */
void check_in_threads(unsigned count, void (*body)(unsigned number, void *shared), void *shared);

/* Of a loop that waits for another thread. */
void check_yield(void);

/* Catches what is written to a file descriptor, by a pipe in its place. */
struct check_pipe {
    int fd, original, read_end;
};
void check_pipe_open(struct check_pipe *pipe, int fd);
/* What came since the last call, as text; it must fit. */
void check_pipe_take(struct check_pipe *pipe, char *text, size_t capacity);
void check_pipe_close(struct check_pipe *pipe);

/* The misuse that was reported in this thread. */
struct check_misuse {
    unsigned count;
    struct mem_mngr_misuse last; /* its report is the one below */
    char report[16384];
};
extern _Thread_local struct check_misuse check_misuse;
/* Notes it; for struct mem_mngr_config and for mm_report_start(). */
void check_on_misuse(const struct mem_mngr_misuse *misuse, void *user);
/* mem_mngr_init_with() that many slots a batch and check_on_misuse(). */
void check_init(unsigned slots_per_batch);
/* Since the last call of one of these: nothing was reported; exactly this one misuse was. */
#define CHECK_NO_MISUSE()       check_no_misuse(__FILE__, __LINE__)
#define CHECK_MISUSE(kind, ptr) check_one_misuse(__FILE__, __LINE__, kind, ptr)
void check_no_misuse(const char *file, int line);
void check_one_misuse(const char *file, int line, enum mem_mngr_misuse_kind kind, const void *ptr);

#endif
