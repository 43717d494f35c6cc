/* own.h - which frames are of the program's own code, and what the others have to do with it: the
 * functions between it and the heap, of libc, of C++ and wrappers, and those before main(). One
 * list says what is not its own, own.def; nor is what the compiler made, such as a destructor that
 * nobody wrote. All is the caller's. */
#ifndef MM_OWN_H
#define MM_OWN_H

#include "findings/finding.h"
#include "system/out.h"

/* More functions and modules that are not its own, as in MM_WRAPPERS; kept for good, NULL: none. */
void mm_own_start(const char *wrappers);

/* Whether frames of a module, by its path or NULL, are no frames of a trace: it only stands between
 * who calls and who is called. */
bool mm_own_is_aside(const char *module);

bool mm_own_is(const struct mm_frame *frame);

/* Sets `own` and `shown`. */
void mm_own_judge(struct mm_trace *trace);

/* "fclose → free": what the own code called, and what was called in the end, as far as they are
 * known. */
void mm_own_write_call(struct mm_out *out, const struct mm_trace *trace);

/* A function without what it returns and takes: "ns::box<...>::set" of "void
 * ns::box<int>::set(int)". At most so many characters, the last ones. */
void mm_own_write_function(struct mm_out *out, const char *function, size_t most);
/* A frame's function or symbol in that form; false when it has none. */
bool mm_own_write_name(struct mm_out *out, const struct mm_frame *frame, size_t most);

#endif
