/* macros.h - what the compiler is told besides the code. */
#ifndef MM_MACROS_H
#define MM_MACROS_H

/* __builtin_expect, under names that say what is meant. */
#define mm_likely(condition)   __builtin_expect(!!(condition), 1)
#define mm_unlikely(condition) __builtin_expect(!!(condition), 0)
/* As likely as not: to be chosen by no branch. */
#define mm_unpredictable(condition) __builtin_expect_with_probability(!!(condition), 1, 0.5)

/* Of a function that a hot one ends in: kept out of it, so that it needs no stack frame. */
#define MM_COLD __attribute__((noinline))

/* Of large data that most processes never touch: it lies behind all other, which then is in few
 * pages. */
#define MM_SELDOM __attribute__((section(".bss.seldom")))

#endif
