/* ranges.c - see ranges.h. Keeps nothing of its own. */
#include "leaks/ranges.h"

#include "system/os.h"

bool mm_ranges_map(struct mm_ranges *ranges, size_t capacity)
{
    *ranges =
        (struct mm_ranges){.of = mm_os_map(capacity * sizeof *ranges->of), .capacity = capacity};
    return ranges->of != NULL;
}

void mm_ranges_release(struct mm_ranges *ranges)
{
    if (ranges->of != NULL)
        mm_os_release(ranges->of, ranges->capacity * sizeof *ranges->of);
    *ranges = (struct mm_ranges){0};
}

void mm_ranges_add(struct mm_ranges *ranges, uintptr_t start, uintptr_t end)
{
    if (start >= end)
        return;
    if (ranges->count == ranges->capacity) {
        ranges->is_cut = true;
        return;
    }
    ranges->of[ranges->count++] = (struct mm_range){start, end};
}

/* Sinks what is at `root` of a heap of `count` ranges, the highest on top. */
static void sink(struct mm_range *of, size_t root, size_t count)
{
    struct mm_range sinking = of[root];
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && of[child + 1].start > of[child].start)
            child++;
        if (of[child].start <= sinking.start)
            break;
        of[root] = of[child];
    }
    of[root] = sinking;
}

static void heap_sort(struct mm_range *of, size_t count)
{
    for (size_t root = count / 2; root-- > 0;)
        sink(of, root, count);
    for (size_t end = count; end-- > 1;) {
        struct mm_range highest = of[0];
        of[0] = of[end];
        of[end] = highest;
        sink(of, 0, end);
    }
}

void mm_ranges_sort(struct mm_ranges *ranges)
{
    size_t kept = 0;
    heap_sort(ranges->of, ranges->count);
    for (size_t i = 0; i < ranges->count; i++) {
        struct mm_range next = ranges->of[i], *last = &ranges->of[kept > 0 ? kept - 1 : 0];
        if (kept > 0 && next.start <= last->end)
            last->end = next.end > last->end ? next.end : last->end;
        else
            ranges->of[kept++] = next;
    }
    ranges->count = kept;
}

size_t mm_ranges_find(const struct mm_ranges *ranges, uintptr_t address)
{
    size_t low = 0, high = ranges->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges->of[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void mm_ranges_outside(const struct mm_ranges *ranges, struct mm_range range,
                       void (*part)(struct mm_range part, void *with), void *with)
{
    for (size_t i = mm_ranges_find(ranges, range.start); range.start < range.end; i++) {
        bool is_last = i >= ranges->count || ranges->of[i].start >= range.end;
        uintptr_t end = is_last ? range.end : ranges->of[i].start;
        if (range.start < end)
            part((struct mm_range){range.start, end}, with);
        if (is_last)
            return;
        range.start = ranges->of[i].end;
    }
}
