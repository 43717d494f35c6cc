/* coverage.h - in a build that counts which lines are reached: what an end writes that the counts
 * of the build do not come to by themselves. In others it is nothing. */
#ifndef MM_COVERAGE_H
#define MM_COVERAGE_H

#ifdef MM_COVERAGE
void __gcov_dump(void);
void __gcov_reset(void);

/* What was counted so far is of no account, or written. */
static inline void mm_coverage_anew(void)
{
    __gcov_reset();
}

/* Once, but for what is counted anew. */
static inline void mm_coverage_write(void)
{
    __gcov_dump();
}
#else
static inline void mm_coverage_anew(void)
{
}

static inline void mm_coverage_write(void)
{
}
#endif

#endif
