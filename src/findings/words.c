/* words.c - see words.h. Owns nothing. */
#include "findings/words.h"

#include "slots/arena.h"
#include "slots/guarded.h"

void mm_words_block(struct mm_out *out, size_t size, bool exactly)
{
    mm_out_format(out, "a block of %s", exactly ? "" : "up to ");
    mm_out_bytes(out, size);
}

void mm_words_distance(struct mm_out *out, uintptr_t at, uintptr_t block, size_t size)
{
    bool is_before = at < block, is_after = at >= block + size;
    if (at == block || at == block + size) {
        mm_out_format(out, at == block + size ? "right after " : "at the start of ");
        return;
    }
    mm_out_bytes(out, is_before ? block - at : is_after ? at - block - size : at - block);
    mm_out_format(out, is_before ? " before " : is_after ? " after " : " inside ");
}

void mm_words_place_in(struct mm_out *out, uintptr_t at, uintptr_t block, size_t size)
{
    if (at != block)
        mm_words_distance(out, at, block, size);
}

void mm_words_slot(struct mm_out *out, const struct mm_slot_info *info)
{
    mm_out_format(out, "; ");
    if (info->offset != 0) {
        mm_out_bytes(out, info->offset);
        mm_out_format(out, " into ");
    }
    mm_out_format(out, "slot %u of %u bytes, batch %x", (uint64_t)info->index + 1,
                  (uint64_t)info->size, (uint64_t)info->base);
}

static void guarded_slot_of(struct mm_out *out, uintptr_t block)
{
    struct mm_guarded_slot slot, above;
    mm_guarded_find(block, &slot, &above);
    if (slot.number != MM_GUARDED_SLOTS)
        mm_out_format(out, "; guarded slot %u of %u bytes", (uint64_t)slot.number + 1,
                      (uint64_t)(slot.end - slot.start));
}

void mm_words_slot_of(struct mm_out *out, uintptr_t block)
{
    struct mm_slot_info info = {0};
    if (mm_guarded_has(block))
        guarded_slot_of(out, block);
    if (mm_arena_has(block))
        info = mm_batch_inspect(block);
    if (info.in_slot)
        mm_words_slot(out, &info);
}
