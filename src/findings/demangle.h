/* demangle.h - names of C++ functions from their symbols (Itanium ABI), as far as people read them:
 * "ns::box<...>::set" of _ZN2ns3boxIiE3setEi, without what a function takes and returns. For where
 * no tool tells more. Allocates nothing, goes no deeper than a bound. */
#ifndef MM_DEMANGLE_H
#define MM_DEMANGLE_H

#include "system/out.h"

/* False, with nothing written, for what is no such symbol, or is not understood. */
bool mm_demangle(struct mm_out *out, const char *symbol);
/* The same, or else the symbol itself, cut to so many bytes. */
void mm_demangle_cut(struct mm_out *out, const char *symbol, size_t most);

#endif
