/* lookup.h - functions that come after ours in the search order of the dynamic linker. */
#ifndef SHIM_LOOKUP_H
#define SHIM_LOOKUP_H

/* NULL when there is none. */
void *shim_next(const char *name);

#endif
