/* checks.h - what is looked for besides bad frees: bytes beside a block that were written to
 * (guards), blocks that were written to after they were freed (held ones), and frees by another
 * family of functions than allocated. Verdicts only: who asks tells of them.
 *
 * Guards. A slot is filled from the end of what was asked to its own end, at least
 * mm_checks.guard bytes; that end is also the guard before the next slot, so that every slot stays
 * where it is. What lies below a batch's first slot is not its own: that slot is not used. While a
 * slot is free its last bytes stay the guard of the one above. Forwarded blocks begin that much, or
 * their alignment, behind the next allocator's block.
 *
 * Held blocks. A held slot stays live, with its bit in the batch's *held* word (blocks/record.h):
 * the atomic *or* that sets it decides which of two frees was first, and that it goes later is an
 * ordinary free. Held forwarded blocks are struck out of the registry, and not given back yet.
 * Both are filled; whole pages of large ones go back to the system, and read as zero.
 *
 * By any thread, nothing is locked. */
#ifndef MM_CHECKS_H
#define MM_CHECKS_H

#include "blocks/stacks.h"
#include "forwarded/registry.h"
#include "memory_manager.h"
#include "slots/heap.h"

struct mm_checks_settings {
    size_t guard;      /* bytes on both sides of a block; 0: none */
    size_t quarantine; /* bytes that freed blocks may hold; 0: none is held */
    bool mismatch;     /* families and sizes of frees are compared */
    int perturb;       /* MALLOC_PERTURB_: freed blocks are filled with it; 0: not set */
};

extern struct mm_checks {
    size_t guard; /* 0: none */
    bool any, holds, mismatch;
    bool keeps_to_asked; /* what was asked is all that may be used of a block, where that is kept */
    bool perturbs;       /* slots are filled as they are handed out, and freed, held or not */
    unsigned char freed, fresh; /* with what */
} mm_checks;

/* With the stacks, whose records all this needs; false when memory is refused. */
bool mm_checks_start(const struct mm_checks_settings *wanted,
                     const struct mm_stacks_settings *stacks);
void mm_checks_stop(void);
/* From now on, see mm_checks.keeps_to_asked; a guard brings that anyway. */
void mm_checks_keep_to_asked(void);

#define MM_DAMAGE_BYTES 16u
struct mm_damage {
    enum mem_mngr_misuse_kind kind;
    uintptr_t block, at; /* where it starts, and its first damaged byte */
    size_t asked;
    unsigned found_count;
    unsigned char found[MM_DAMAGE_BYTES]; /* from there on, as long as bytes differ */
    struct mm_forwarded neighbour;        /* that may have been the one; start 0: none */
    struct mm_record *record;             /* of the block, */
    mm_shape shape;                       /* as it was, */
    uint64_t allocated;                   /* and when it was allocated */
};

/* A block as the checks need it: a slot that is traced, or a forwarded one with a record. */
struct mm_block {
    uintptr_t start;
    size_t asked;
    struct mm_record *record; /* NULL: nothing is known, nothing is checked */
    struct mm_batch *batch;   /* NULL: it is forwarded */
    unsigned index;
    bool may_go; /* its memory, by another thread, or it may be shut: it is read by calls that
                    survive that */
};
struct mm_block mm_block_of_slot(struct mm_batch *batch, unsigned index);
/* The same where its record is known; NULL: it is not traced. */
struct mm_block mm_block_with(struct mm_batch *batch, unsigned index, struct mm_record *record);
/* Of one that is held: `asked` and record are not looked up. */
struct mm_block mm_block_of_held(struct mm_batch *batch, unsigned index);
struct mm_block mm_block_forwarded(const void *ptr);

/* Up to two damages of its guards: how many. Bytes between two slots belong to both, so that they
 * may be another block's; and of each block damages are told once in its life. */
#define MM_GUARDS 2u
unsigned mm_checks_guards(const struct mm_block *block, struct mm_damage damages[MM_GUARDS]);
/* Whether bytes beside a block that nobody else has are still MM_GUARD_BYTE. */
#define MM_GUARD_BYTE 0xfdu
bool mm_checks_beside(const struct mm_block *block, uintptr_t from, uintptr_t end,
                      struct mm_damage *damage);
/* That it will be told; false when that was said before. */
bool mm_checks_tell(const struct mm_damage *damage);
/* The bytes behind what is asked now become its guard; of a slot the last ones are that already,
 * and the guard of the one above, a damage of which may not be told yet. */
void mm_checks_lay(const struct mm_block *block);
/* A guard of it where that damage was found is whole again. */
void mm_checks_mend(const struct mm_block *block, const struct mm_damage *damage);
/* By how much a guarded forwarded block lies behind the next allocator's, and what is asked of that
 * in all for one of `asked` bytes; SIZE_MAX: too much. */
size_t mm_checks_front(size_t alignment);
size_t mm_checks_whole(size_t alignment, size_t asked);

/* A freed block is filled; and later, whether that changed. */
void mm_checks_fill(const struct mm_block *block);
bool mm_checks_filling(const struct mm_block *block, struct mm_damage *damage);
/* Whether a pointer was read from a freed block, or points a little further than one that was. */
bool mm_checks_is_filling(uintptr_t address);
/* What a held block counts for, in bytes. */
size_t mm_checks_resident(const struct mm_block *block);
/* Of a live slot, whose batch is the caller's or pinned: whether this is the first of several
 * frees. False when memory to know it by is refused. */
bool mm_checks_hold_slot(const struct mm_block *block, bool *is_first);

/* Live slots of a batch without those that are held. */
uint64_t mm_checks_live(const struct mm_batch *batch);

#endif
