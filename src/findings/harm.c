/* harm.c - see harm.h. Owns nothing. */
#include "findings/harm.h"

#include "checks/bounds.h"
#include "checks/checks.h"
#include "findings/finding.h"
#include "findings/report.h"
#include "findings/words.h"

/* --- damages: bytes that changed --- */

/* A text, but for a zero at its end. */
static bool is_text(const struct mm_damage *damage)
{
    unsigned count = damage->found_count;
    count -= count > 1 && damage->found[count - 1] == 0;
    for (unsigned i = 0; i < count; i++) {
        if (damage->found[i] < ' ' || damage->found[i] > '~')
            return false;
    }
    return count > 0;
}

static void write_found(struct mm_out *out, const struct mm_damage *damage)
{
    mm_out_format(out, "; found there:");
    for (unsigned i = 0; i < damage->found_count; i++) {
        mm_out_format(out, " ");
        mm_out_hex(out, &damage->found[i], 1);
    }
    if (!is_text(damage))
        return;
    mm_out_format(out, " \"");
    for (unsigned i = 0; i < damage->found_count && damage->found[i] != 0; i++)
        mm_out_format(out, "%c", damage->found[i]);
    mm_out_format(out, "\"");
}

/* What a text brings that was measured without its end. */
static bool is_end_of_text(const struct mm_damage *damage)
{
    return damage->kind == MEM_MNGR_OVERFLOW && damage->at == damage->block + damage->asked &&
           damage->found_count == 1 && damage->found[0] == 0;
}

static void write_neighbour(struct mm_out *out, const struct mm_damage *damage)
{
    const struct mm_forwarded *neighbour = &damage->neighbour;
    if (neighbour->start == 0)
        return;
    mm_out_format(out, "; or it is ");
    mm_words_distance(out, damage->at, neighbour->start, neighbour->size);
    mm_out_format(out, "the block of ");
    mm_out_bytes(out, neighbour->size);
    mm_out_format(out, " at %x", (uint64_t)neighbour->start);
}

static void describe_damage(struct mm_out *out, const struct mm_damage *damage)
{
    mm_words_distance(out, damage->at, damage->block, damage->asked);
    mm_words_block(out, damage->asked, true);
    if (damage->kind == MEM_MNGR_USE_AFTER_FREE)
        mm_out_format(out, ", written to after it was freed");
    write_found(out, damage);
    if (is_end_of_text(damage))
        mm_out_format(out, " (the zero at the end of a text?)");
    write_neighbour(out, damage);
    mm_words_slot_of(out, damage->block);
}

/* --- accesses: what a call reads or writes, or an instruction touches --- */

static void write_bytes_used(struct mm_out *out, const struct mm_access *access)
{
    mm_out_format(out, "%s ", access->is_write ? "writes" : "reads");
    mm_out_bytes(out, access->size);
    mm_out_format(out, "%s, ", access->is_at_least ? " or more" : "");
}

/* Of one that begins in the block, or before it: an end in it is none of interest. */
static void write_past_end(struct mm_out *out, const struct mm_access *access)
{
    size_t in_block = access->block + access->asked - access->start;
    if (access->start >= access->block + access->asked || access->size <= in_block)
        return;
    mm_out_format(out, ", ");
    mm_out_bytes(out, access->size - in_block);
    mm_out_format(out, "%s past its end", access->is_at_least ? " or more" : "");
}

static void describe_place(struct mm_out *out, uintptr_t at, uintptr_t block, size_t asked,
                           const struct mm_access *access, enum mem_mngr_misuse_kind kind)
{
    mm_words_distance(out, at, block, asked);
    mm_words_block(out, asked, true);
    if (access != NULL)
        write_past_end(out, access);
    if (kind == MEM_MNGR_USE_AFTER_FREE)
        mm_out_format(out, ", freed before");
    mm_words_slot_of(out, block);
}

static void write_overlap(struct mm_out *out, const struct mm_access *access)
{
    bool is_forward = access->start > access->from;
    mm_out_format(out, "copies ");
    mm_out_bytes(out, access->size);
    mm_out_format(out, " onto themselves, ");
    mm_out_bytes(out, is_forward ? access->start - access->from : access->from - access->start);
    mm_out_format(out, " further %s; ", is_forward ? "on" : "back");
}

/* --- one of these --- */

bool mm_harm_describe(struct mm_out *out, const struct mm_misuse *misuse)
{
    const struct mm_access *access = misuse->access;
    const struct mm_touch *touch = misuse->touch;
    if (misuse->kind == MEM_MNGR_OVERLAP) {
        write_overlap(out, access);
        return false;
    }
    if (misuse->damage != NULL) {
        describe_damage(out, misuse->damage);
    } else if (access != NULL) {
        write_bytes_used(out, access);
        describe_place(out, access->start, access->block, access->asked, access, misuse->kind);
    } else if (touch != NULL && touch->block != 0) {
        describe_place(out, touch->at, touch->block, touch->asked, NULL, misuse->kind);
    }
    return misuse->damage != NULL || access != NULL || (touch != NULL && touch->block != 0);
}
