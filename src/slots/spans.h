/* spans.h - where a heap's batches lie: spans of 2^order units in chunks that the heap holds, or
 * of whole chunks, and the lines that describe them. A chunk is a buddy system in one word.
 *
 * For the thread that owns the heap, or under the lock that stands in for it. */
#ifndef MM_SPANS_H
#define MM_SPANS_H

#include "slots/batch.h"

struct mm_spans {
    uint32_t free_lines;   /* lines that nobody pins, of no batch, chained by `next` */
    uint32_t closed_lines; /* the same, but whether somebody pins them is not known */
    uint32_t closed;       /* since it was last looked whether somebody does */
    uint32_t first_chunk;  /* chunks with free units, by index + 1; 0: none */
};

/* 2^order units, aligned to their length, order 0 to MM_SPAN_ORDER_MAX, in chunks of `owner`, whose
 * spans these are. *zero tells whether all of them read as zero. 0 when memory is refused. */
uintptr_t mm_spans_take(struct mm_spans *spans, struct mm_heap *owner, unsigned order, bool *zero);
/* True when a chunk became wholly free by it, and went back to the arena. */
bool mm_spans_give(struct mm_spans *spans, uintptr_t base, unsigned order);

/* A line for a batch to be opened; NULL when memory is refused. */
struct mm_batch *mm_spans_take_line(struct mm_spans *spans);
/* The line of a batch that was closed, or not opened after all. It describes another one only when
 * nobody pins it. */
void mm_spans_give_line(struct mm_spans *spans, struct mm_batch *batch);

#endif
