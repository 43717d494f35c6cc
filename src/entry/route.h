/* route.h - where a request or a pointer belongs: to a slot, to the next allocator, or to nobody.
 *
 * mm_alloc() and mm_free() are the fast paths. They touch the heap, the batch's line and, in
 * mm_free(), the unit table; no lock, no atomic read-modify-write, nothing of the slot itself.
 * Whatever is not the common case goes to a _slow function, which starts over.
 *
 * `caller` is the return address of the call into the library, for reports. */
#ifndef MM_ROUTE_H
#define MM_ROUTE_H

#include "forwarded/next.h"
#include "slots/heap.h"
#include <stdbool.h>
#include <stddef.h>

/* Both keep to malloc's rules: size 0 gives a unique pointer, NULL comes with errno ENOMEM. */
MM_COLD void *mm_alloc_slow(size_t size);
MM_COLD void mm_free_slow(void *ptr, const void *caller);
/* The same by a function of another family than malloc()'s; `how` a block is freed has that, and
 * size and alignment where they are named. */
MM_COLD void *mm_alloc_new_slow(size_t size);
MM_COLD void *mm_alloc_new_array_slow(size_t size);
MM_COLD void mm_free_as_slow(void *ptr, mm_shape how, const void *caller);
void *mm_aligned_alloc_as(enum mm_next_name name, size_t alignment, size_t size,
                          enum mm_family family);
void *mm_calloc(size_t count, size_t size);
/* NULL with EINVAL for a ptr that is not a live block, which is reported. */
void *mm_realloc(void *ptr, size_t size, const void *caller);
/* alignment must be a power of two. */
void *mm_aligned_alloc(size_t alignment, size_t size);

/* The same for who was called by another name: where slots do not serve, it is the next allocator's
 * function of that name that may have to. */
void *mm_alloc_by(enum mm_next_name name, size_t size);
void *mm_calloc_by(enum mm_next_name name, size_t count, size_t size);
void *mm_realloc_by(enum mm_next_name name, void *ptr, size_t size, const void *caller);
void *mm_aligned_alloc_by(enum mm_next_name name, size_t alignment, size_t size);
void mm_free_by(enum mm_next_whose whose, void *ptr, mm_shape how, const void *caller);

/* What is held is held no more. */
void mm_free_held(const void *caller);
/* Looks at all blocks for writes beside them, and at held ones for writes to them: how many were
 * found that were not told before. Beside other threads that go on. */
size_t mm_check(const void *caller);
/* In a fork()'s child. */
void mm_check_after_fork(void);

/* 0 for anything that is not a live block, which is told where checks are on. */
size_t mm_usable_size(const void *ptr, const void *caller);

/* `slow` is a constant, and its call a jump. */
static inline void *mm_alloc_or(size_t size, void *(*slow)(size_t size))
{
    /* Size 0 wraps round and takes the slow path. */
    if (mm_likely(size - 1 < MM_SMALL_MAX)) {
        struct mm_bin *bin = &mm_tls_heap->bins[(size - 1) / MM_GRANULE];
        if (mm_likely(bin->claimed != 0))
            return mm_bin_pop(bin);
    }
    return slow(size);
}

static inline void *mm_alloc(size_t size)
{
    return mm_alloc_or(size, mm_alloc_slow);
}

/* By operators of C++. */
static inline void *mm_alloc_new(size_t size)
{
    return mm_alloc_or(size, mm_alloc_new_slow);
}

static inline void *mm_alloc_new_array(size_t size)
{
    return mm_alloc_or(size, mm_alloc_new_array_slow);
}

/* Frees a slot of the calling thread's heap. False in any other case, and in any doubt: nothing has
 * happened then, and mm_free_slow() is to be called. */
static inline bool mm_free_fast(void *ptr)
{
    uintptr_t address = (uintptr_t)ptr;
    struct mm_heap *heap = mm_tls_heap;
    if (mm_unlikely(!mm_arena_has(address)))
        return false;
    struct mm_batch *batch = mm_batch_at(address);
    if (mm_unlikely(!mm_batch_is_quiet(batch, heap)))
        return false;
    struct mm_slot slot = mm_batch_slot(batch, address);
    if (mm_unlikely(!slot.starts))
        return false;
    uint64_t live = mm_batch_live(batch);
    if (mm_unlikely(!mm_bit_take(&live, slot.index)))
        return false;
    mm_batch_set_live(batch, live);
    if (mm_unlikely(--batch->frees_left == 0))
        mm_heap_batch_due(heap, batch);
    return true;
}

static inline void mm_free(void *ptr, const void *caller)
{
    if (mm_unlikely(!mm_free_fast(ptr)))
        mm_free_slow(ptr, caller);
}

#endif
