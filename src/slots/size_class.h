/* size_class.h - which slot size serves a request.
 *
 * Up to 1 KiB every multiple of 16 is a slot size; from there four steps a doubling, up to
 * 64 KiB, which bounds the waste of a slot by a fifth. A class is the index of a slot size. */
#ifndef MM_SIZE_CLASS_H
#define MM_SIZE_CLASS_H

#include "system/bitmap.h"
#include <stddef.h>

#define MM_GRANULE       16u /* what every slot size is a multiple of */
#define MM_SMALL_MAX     1024u
#define MM_SLOT_SIZE_MAX 65536u
#define MM_SMALL_CLASSES (MM_SMALL_MAX / MM_GRANULE)
#define MM_STEPS         4u /* slot sizes a doubling, above MM_SMALL_MAX */
#define MM_DOUBLINGS     6u
#define MM_CLASSES       (MM_SMALL_CLASSES + MM_DOUBLINGS * MM_STEPS)
#define MM_CLASS_NONE    MM_CLASSES

/* size must be 1 to MM_SLOT_SIZE_MAX. */
static inline unsigned mm_class_of_size(size_t size)
{
    MM_ASSERT(size >= 1 && size <= MM_SLOT_SIZE_MAX);
    if (size <= MM_SMALL_MAX)
        return (unsigned)((size - 1) / MM_GRANULE);
    unsigned doubling = mm_log2_floor(size - 1); /* size is over 2^doubling */
    unsigned step = (unsigned)((size - 1) >> (doubling - 2)) & (MM_STEPS - 1);
    return MM_SMALL_CLASSES + (doubling - 10) * MM_STEPS + step;
}

static inline size_t mm_class_size(unsigned class)
{
    MM_ASSERT(class < MM_CLASSES);
    if (class < MM_SMALL_CLASSES)
        return (class + 1) * (size_t)MM_GRANULE;
    unsigned above = class - MM_SMALL_CLASSES;
    unsigned doubling = 10 + above / MM_STEPS;
    return ((size_t)MM_STEPS + above % MM_STEPS + 1) << (doubling - 2);
}

/* The smallest class whose slots hold `size` bytes and are all aligned to `alignment` (a power
 * of two), MM_CLASS_NONE when there is none. A batch starts at a multiple of its own span, which is
 * a power of two no smaller than its slots, so slots are aligned to whatever divides their size. */
unsigned mm_class_of_aligned(size_t size, size_t alignment);

#endif
