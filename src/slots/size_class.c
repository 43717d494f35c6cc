/* size_class.c - what of size_class.h is not worth a place in every caller. Keeps nothing. */
#include "slots/size_class.h"

_Static_assert(MM_SLOT_SIZE_MAX == (MM_SMALL_MAX << MM_DOUBLINGS), "the classes end there");

unsigned mm_class_of_aligned(size_t size, size_t alignment)
{
    if (size > MM_SLOT_SIZE_MAX || alignment > MM_SLOT_SIZE_MAX)
        return MM_CLASS_NONE;
    if (size < alignment)
        size = alignment;
    for (unsigned class = mm_class_of_size(size); class < MM_CLASSES; class ++) {
        if ((mm_class_size(class) & (alignment - 1)) == 0)
            return class;
    }
    return MM_CLASS_NONE;
}
