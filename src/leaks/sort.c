/* sort.c - see sort.h. A heap, the last one on top. */
#include "leaks/sort.h"

#include "system/assert.h"
#include <string.h>

struct heap {
    char *entries;
    size_t count, size;
    bool (*comes_before)(const void *one, const void *other);
};

static char *at(const struct heap *heap, size_t index)
{
    return heap->entries + index * heap->size;
}

/* What is at the root sinks to where it belongs. */
static void sink(const struct heap *heap, size_t root)
{
    char sinking[MM_SORT_MOST];
    memcpy(sinking, at(heap, root), heap->size);
    for (size_t child; (child = 2 * root + 1) < heap->count; root = child) {
        if (child + 1 < heap->count && heap->comes_before(at(heap, child), at(heap, child + 1)))
            child++;
        if (!heap->comes_before(sinking, at(heap, child)))
            break;
        memcpy(at(heap, root), at(heap, child), heap->size);
    }
    memcpy(at(heap, root), sinking, heap->size);
}

void mm_sort(void *entries, size_t count, size_t size,
             bool (*comes_before)(const void *one, const void *other))
{
    struct heap heap = {entries, count, size, comes_before};
    char last[MM_SORT_MOST];
    MM_ASSERT(size <= MM_SORT_MOST);
    for (size_t root = count / 2; root-- > 0;)
        sink(&heap, root);
    while (heap.count > 1) {
        heap.count--;
        memcpy(last, at(&heap, 0), size);
        memcpy(at(&heap, 0), at(&heap, heap.count), size);
        memcpy(at(&heap, heap.count), last, size);
        sink(&heap, 0);
    }
}
