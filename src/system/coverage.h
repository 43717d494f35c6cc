/* coverage.h - in a build that counts what is reached: counts of a process that ends past the
 * destructors that write them. In others it is nothing. */
#ifndef MM_COVERAGE_H
#define MM_COVERAGE_H

#ifdef MM_COVERAGE
#include "system/os.h"

void __gcov_dump(void);
void __gcov_reset(void);

/* What was counted so far is not this process's. */
static inline void mm_coverage_anew(void)
{
    __gcov_reset();
}

static inline void mm_coverage_write(void)
{
    __gcov_dump();
}

/* Counts in a vfork()'s child are its parent's, which writes them. */
static inline void mm_coverage_end(void)
{
    if (!mm_os_is_guest())
        __gcov_dump();
}
#else
static inline void mm_coverage_anew(void)
{
}

static inline void mm_coverage_write(void)
{
}

static inline void mm_coverage_end(void)
{
}
#endif

#endif
