/* size_class.c - every size there is, and every alignment. */
#include "slots/size_class.h"

#include "check.h"

static void classes(void)
{
    CHECK_EQUAL(mm_class_size(0), MM_GRANULE);
    CHECK_EQUAL(mm_class_size(MM_CLASSES - 1), MM_SLOT_SIZE_MAX);
    for (unsigned class = 0; class < MM_CLASSES; class ++) {
        size_t size = mm_class_size(class);
        CHECK_EQUAL(size % MM_GRANULE, 0);
        CHECK_EQUAL(mm_class_of_size(size), class);
        CHECK(class == 0 || mm_class_size(class - 1) < size);
    }
}

static void sizes(void)
{
    for (size_t size = 1; size <= MM_SLOT_SIZE_MAX; size++) {
        unsigned class = mm_class_of_size(size);
        CHECK(class < MM_CLASSES);
        size_t slot = mm_class_size(class);
        CHECK(slot >= size);
        CHECK(class == 0 || mm_class_size(class - 1) < size);
        if (size <= MM_SMALL_MAX)
            CHECK_EQUAL(slot, (size + MM_GRANULE - 1) / MM_GRANULE * MM_GRANULE);
        else
            CHECK((slot - size) * 5 < slot);
    }
}

static unsigned class_by_search(size_t size, size_t alignment)
{
    unsigned class = 0;
    while (class < MM_CLASSES &&
           (mm_class_size(class) < size || mm_class_size(class) % alignment != 0))
        class ++;
    return class;
}

static void aligned(void)
{
    for (size_t alignment = 1; alignment <= (size_t)4 * MM_SLOT_SIZE_MAX; alignment *= 2) {
        for (size_t size = 0; size <= MM_SLOT_SIZE_MAX + 1; size += size < 40000 ? 1 : 29)
            CHECK_EQUAL(mm_class_of_aligned(size, alignment), class_by_search(size, alignment));
    }
    CHECK_EQUAL(mm_class_of_aligned(SIZE_MAX, 16), MM_CLASS_NONE);
    CHECK_EQUAL(mm_class_of_aligned(1, SIZE_MAX / 2 + 1), MM_CLASS_NONE);
}

int main(void)
{
    classes();
    sizes();
    aligned();
    return 0;
}
