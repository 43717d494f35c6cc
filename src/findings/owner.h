/* owner.h - whose memory a pointer points to, in words. */
#ifndef MM_OWNER_H
#define MM_OWNER_H

#include "memory_manager.h"
#include "system/out.h"

struct mm_misuse;
struct mm_stack_history;
struct mm_place_text;
struct mm_symtab;
struct mm_local;

/* What the words are made from, besides the tables of slots and blocks, and /proc/self/maps for a
 * foreign pointer. */
struct mm_owner_of {
    const struct mm_misuse *misuse;
    const struct mm_stack_history *history; /* NULL: none is kept */
    const char *program;                    /* its path */
    struct mm_place_text *text;             /* for what is told of a module */
    struct mm_symtab *symtab;               /* to read names through */
    struct mm_local *local;                 /* filled for a pointer to this thread's stack */
    bool briefly;                           /* modules by the last part of their paths */
};

/* Parts, separated by "; ": the pointer in the user's terms, what is wrong with the block, and its
 * slot. */
void mm_owner_describe(struct mm_out *out, const struct mm_owner_of *of);

/* Whether the block that a finding describes is still the one that it is about: a process that goes
 * on may have another there by now. */
bool mm_owner_is_there(const struct mm_misuse *misuse);

#endif
