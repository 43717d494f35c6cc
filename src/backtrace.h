/* backtrace.h - who called. */
#ifndef MM_BACKTRACE_H
#define MM_BACKTRACE_H

#define MM_FRAMES_MAX 16u

/* The call stack from the function that `caller` returns into on, innermost first, as addresses
 * inside the calls; at least one unless caller is NULL. Allocates nothing and takes no lock
 * where the dynamic linker finds an object without one (glibc 2.35 on). Some 200 ns a frame. */
unsigned mm_backtrace(const void *caller, const void *frames[static MM_FRAMES_MAX]);

#endif
