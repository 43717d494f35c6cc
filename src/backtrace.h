/* backtrace.h - who called, and where that is. */
#ifndef MM_BACKTRACE_H
#define MM_BACKTRACE_H

#include "out.h"

#define MM_FRAMES_MAX 16u
/* Characters shown of a name and of a path: in C++ one name may be longer than a report. */
#define MM_SYMBOL_SHOWN 256u
#define MM_PATH_SHOWN   400u

/* The call stack from the function that `caller` returns into on, innermost first, as addresses
 * inside the calls; at least one unless caller is NULL. Allocates nothing and takes no lock of
 * ours. It may take the dynamic linker's, which a thread inside malloc may hold: so no lock of ours
 * may be held here. */
unsigned mm_backtrace(const void *caller, const void *frames[static MM_FRAMES_MAX]);

/* Writes " in symbol+0xoff (module+0xoff)" as far as it is known. */
void mm_backtrace_place(struct mm_out *out, const void *address);

/* A module's path and the nearest exported symbol at or before an address. */
struct mm_symbol {
    const char *module; /* NULL when the address is in none; valid as long as `path` is */
    const char *name;   /* NULL when there is none */
    size_t module_offset, offset;
    char path[256];
};
void mm_backtrace_symbol(struct mm_symbol *symbol, const void *address);

#endif
