/* assert.h - what the invariants say, looked at in builds that test (MM_ASSERTIONS: those with
 * sanitizers, and the one that runs in an emulator). In all others nothing is left of it. */
#ifndef MM_ASSERT_H
#define MM_ASSERT_H

#ifdef MM_ASSERTIONS
#define MM_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : mm_assert_failed(#condition, __FILE__, __LINE__))
#else
#define MM_ASSERT(condition) ((void)sizeof(condition))
#endif

/* Says what does not hold, on stderr, and ends the process by abort(). */
_Noreturn void mm_assert_failed(const char *condition, const char *file, unsigned line);

#endif
