/* harm.h - what was done to a block's memory, in words: bytes that changed, what a call reads or
 * writes, what an instruction touches. */
#ifndef MM_HARM_H
#define MM_HARM_H

#include "system/out.h"
#include <stdbool.h>

struct mm_misuse;

/* Parts, as mm_owner_describe() writes them; false when it is left to say whose the pointer is. */
bool mm_harm_describe(struct mm_out *out, const struct mm_misuse *misuse);

#endif
