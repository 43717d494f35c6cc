/* words.h - blocks, places in and beside them, and their slots, in words. */
#ifndef MM_WORDS_H
#define MM_WORDS_H

#include "slots/batch.h"
#include "system/out.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void mm_words_block(struct mm_out *out, size_t size, bool exactly);
/* Where an address lies, of a block. */
void mm_words_distance(struct mm_out *out, uintptr_t at, uintptr_t block, size_t size);
/* The same; nothing for its start. */
void mm_words_place_in(struct mm_out *out, uintptr_t at, uintptr_t block, size_t size);
/* A part of its own: the slot, or that of a block if it has one. */
void mm_words_slot(struct mm_out *out, const struct mm_slot_info *info);
void mm_words_slot_of(struct mm_out *out, uintptr_t block);

#endif
