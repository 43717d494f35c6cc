/* mark.h - which live blocks can be reached. A pointer anywhere into a block reaches it (`strict`:
 * to its start alone), and whatever the words of a block that is reached point to is reached, too.
 *
 * From a pointer to its block it is three loads: unit, line, mark. What is kept of a batch for the
 * look lies in a table of its own, by line, copied from the batch at the start: the slots that are
 * live, where they lie, and what was found of them.
 *
 * A batch with slots that are reached and were not scanned yet waits in a queue, first in first
 * out; each visit scans all of them. Meanwhile others of it are reached, so that memory is read in
 * rows, however the pointers go. Pointers that were found pass through a short row of their own,
 * where the tables that they need are fetched ahead.
 *
 * For one thread, while no other changes a block; or while others run: then memory is read by calls
 * that survive whatever may not be there any more, and what was written since is looked at again
 * (rescan.c), the last time while all stand. All memory is mapped at the start and given back at
 * the end; nothing is locked, and no function of malloc's called. */
#ifndef MM_MARK_H
#define MM_MARK_H

#include "leaks/ranges.h"
#include "slots/batch.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What was made of a live block. */
enum mm_mark {
    MM_MARK_REACHED,
    MM_MARK_POSSIBLE, /* only by a pointer with a tag in its high bits, or from what that reaches */
    MM_MARK_DIRECT,   /* nothing points to it, or only such as it points to */
    MM_MARK_INDIRECT, /* another one that is not reached points to it */
    MM_MARK_FREED /* it is no live block any more, and what is reached points to it all the same */
};

/* Of a batch, by line; 64 bytes, as a line has. */
struct mm_mark_batch {
    uint64_t live, marked;
    uint64_t pending; /* marked, and to be scanned */
    uint64_t reciprocal;
    uint32_t unit; /* where slot 0 starts */
    uint16_t granules;
    uint8_t slots;
    bool is_queued;
    uint64_t reached, possible, direct;
};
_Static_assert(sizeof(struct mm_mark_batch) == MM_LINE_SIZE, "by line");

struct mm_mark_block {
    uintptr_t start, end; /* of a forwarded block */
    bool marked, is_queued, reached, possible, direct;
};

#define MM_MARK_AHEAD 64u /* pointers on their way */

struct mm_marks {
    bool strict;
    bool tagged; /* words are taken with their high bits off, too */
    char *batches;
    uint32_t lines_end;
    uint32_t *queue; /* of batches, by line; a ring that has room for all */
    size_t queue_size, head, tail;
    struct mm_mark_block *blocks; /* by address */
    size_t block_count, block_capacity;
    uint32_t *block_queue;
    size_t block_head, block_tail;
    uint32_t *suspects; /* batches, by line */
    size_t suspect_count;
    uintptr_t lowest, span;      /* where blocks lie that are no slots */
    struct mm_ranges unreadable; /* memory of blocks that can't be read now, sorted */
    /* While threads run: through which memory is read, else NULL; what could not be read; what
     * the system tells of pages; and whether nobody wants to know any more. */
    uintptr_t *copies;
    struct mm_ranges missed;
    int pages_fd;
    uint64_t *entries;
    const _Atomic bool *is_unwanted;
    struct {
        uintptr_t address;
        struct mm_mark_batch *batch;
    } ahead[MM_MARK_AHEAD];
    size_t looked, arrived; /* pointers that set out; and of these, when all last arrived */
};

/* Takes in all that is live now. False when memory is refused: nothing need be ended then. */
bool mm_marks_start(struct mm_marks *marks, bool strict);
void mm_marks_end(struct mm_marks *marks);

/* Words of a root, a copy of them: what they point to is reached. Those that libc's own tables
 * consist of point to what lies behind a block, too, which its size there includes. */
enum mm_words { MM_WORDS_ANY, MM_WORDS_OF_LIBC };
void mm_marks_words(struct mm_marks *marks, const uintptr_t *words, size_t count,
                    enum mm_words whose);
/* Whether it points to where blocks are, but for a tag in its high bits. */
bool mm_marks_may_be_tagged(const struct mm_marks *marks, uintptr_t word);
/* Blocks that are not to be told of are roots, too; once some were listed as suspects, of these. */
void mm_marks_ignored(struct mm_marks *marks);
/* All that can be reached from there. */
void mm_marks_flood(struct mm_marks *marks);
/* The same until a time of mm_os_nanoseconds(), 0: as long as it takes, and while it is not
 * unwanted: whether all is looked at. Else it can be called again for the rest. */
bool mm_marks_flood_until(struct mm_marks *marks, uint64_t until);

/* --- while threads run --- */

/* Memory is read by copies from now on, as far as it is there; false when memory for that is
 * refused. `pages_fd` is /proc/self/pagemap. */
bool mm_marks_copy(struct mm_marks *marks, int pages_fd, const _Atomic bool *is_unwanted);
/* This could not be read, by reason of errno: it is tried again by the last one, as what was
 * written, if it is not there; else all was in vain. */
void mm_marks_miss(struct mm_marks *marks, struct mm_range range);
/* What lies there was written: what it points to is reached, as far as it is in blocks that are
 * marked, or that were handed out since the start. Calls back for what is of no block that was
 * there at the start. */
typedef void (*mm_marks_rest)(struct mm_range rest, void *with);
void mm_marks_rescan(struct mm_marks *marks, struct mm_range written, mm_marks_rest rest,
                     void *with);
void mm_marks_rescan_missed(struct mm_marks *marks, mm_marks_rest rest, void *with);
/* Lists what is not marked so far, for the next one: how many batches and other blocks that is. */
size_t mm_marks_suspect(struct mm_marks *marks);
/* Of what was listed: what is live no more is not told of. */
void mm_marks_drop_freed(struct mm_marks *marks);

/* Calls back for the words of each block that is marked so far. */
typedef void (*mm_marks_visit)(const uintptr_t *words, size_t count, uintptr_t block, void *with);
void mm_marks_each_marked(struct mm_marks *marks, mm_marks_visit visit, void *with);

/* In this order: what is marked so far is reached; whether all is. */
bool mm_marks_are_all(const struct mm_marks *marks);
void mm_marks_reached(struct mm_marks *marks);
/* From now on words count without their tags as well: those of what is reached are looked at once
 * more, those of roots are the caller's to tell again. Then what is marked is possible. */
void mm_marks_tagged(struct mm_marks *marks);
void mm_marks_possible(struct mm_marks *marks);
/* Sorts what is left into direct and indirect. */
void mm_marks_classify(struct mm_marks *marks);

/* Calls back for each block that is not MM_MARK_REACHED, after mm_marks_classify(). */
void mm_marks_each(const struct mm_marks *marks,
                   void (*each)(uintptr_t start, size_t size, enum mm_mark mark, void *with),
                   void *with);

#endif
