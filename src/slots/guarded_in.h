/* guarded_in.h - the inside of the pool of guarded slots (guarded.h), for its two files: guarded.c,
 * the slots' ways, and guarded_make.c, which makes it. A slot's words are those of who has it by
 * its state; the rest is written by who makes the pool, but for what is atomic. */
#ifndef MM_GUARDED_IN_H
#define MM_GUARDED_IN_H

#include "slots/guarded.h"
#include "system/macros.h"

#define MM_GUARDED_ROWS  5u                /* 1, 2, 4, 8, 16 pages of 4 KiB */
#define MM_GUARDED_ASIDE ((size_t)4 << 20) /* bytes of what freed blocks held */

struct mm_guarded_words {
    _Atomic uint32_t state;  /* enum mm_guarded_state */
    _Atomic uint32_t opened; /* enum mm_guarded_opened */
    _Atomic uint32_t fence;  /* enum mm_fence: the one above it */
    _Atomic uint32_t size;   /* asked */
    _Atomic uintptr_t block, before;
    _Atomic uint64_t aside; /* where in that ring its content is */
};
/* Whoever opens a slot, to hand it out or after a fault, is alone with its pages meanwhile. */
enum mm_guarded_opened { MM_GUARDED_SHUT, MM_GUARDED_OPENING, MM_GUARDED_OPEN };
enum mm_fence { MM_FENCE_NEW, MM_FENCE_SHUT, MM_FENCE_OPEN };

struct mm_guarded_row {
    uintptr_t start;
    size_t size, stride; /* of a slot; and with its fence */
    unsigned first, count;
    _Atomic uint32_t made; /* slots that were ever handed out */
    _Atomic uint64_t head, tail;
    _Atomic uint64_t *cells; /* as many as there are slots, at least; a power of two */
    unsigned bits;
};

extern struct mm_guarded_in {
    struct mm_guarded_settings settings;
    struct mm_guarded_row rows[MM_GUARDED_ROWS];
    struct mm_guarded_words *slots;
    unsigned count;
    _Atomic uint32_t made; /* of all rows */
    unsigned char *aside;  /* NULL: pages keep their content */
    _Atomic uint64_t aside_end;
    uint64_t made_at;
    void *tables;
    size_t table_size;
    _Atomic bool is_given_up;
    _Atomic uint32_t making; /* 0: nobody yet; 1: somebody is at it, or was in vain */
} mm_guarded_in;

/* The first one who asks makes the pool; false when it could not be made, or another is at it. */
MM_COLD bool mm_guarded_make(void);

bool mm_guarded_shut_pages(uintptr_t start, size_t size);
bool mm_guarded_open_pages(uintptr_t start, size_t size);

#endif
