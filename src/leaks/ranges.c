/* ranges.c - see ranges.h. Keeps nothing of its own. */
#include "leaks/ranges.h"

#include "leaks/sort.h"
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

static bool is_lower(const void *one, const void *other)
{
    return ((const struct mm_range *)one)->start < ((const struct mm_range *)other)->start;
}

void mm_ranges_sort(struct mm_ranges *ranges)
{
    size_t kept = 0;
    mm_sort(ranges->of, ranges->count, sizeof *ranges->of, is_lower);
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
