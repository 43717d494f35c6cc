/* ranges.h - lists of address ranges, in memory mapped for one look. A list is its caller's alone;
 * nothing is locked. */
#ifndef MM_RANGES_H
#define MM_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mm_range {
    uintptr_t start, end;
};

struct mm_ranges {
    struct mm_range *of;
    size_t count, capacity;
    bool is_cut; /* some found no room */
};

/* False when memory is refused. */
bool mm_ranges_map(struct mm_ranges *ranges, size_t capacity);
void mm_ranges_release(struct mm_ranges *ranges);
/* Empty ones are left out. */
void mm_ranges_add(struct mm_ranges *ranges, uintptr_t start, uintptr_t end);
/* By their starts, those that touch or overlap made one. */
void mm_ranges_sort(struct mm_ranges *ranges);
/* The first of a sorted list that ends above `address`: its index, `count` when there is none. */
size_t mm_ranges_find(const struct mm_ranges *ranges, uintptr_t address);
/* Calls back for each part of the range that lies in none of a sorted list. */
void mm_ranges_outside(const struct mm_ranges *ranges, struct mm_range range,
                       void (*part)(struct mm_range part, void *with), void *with);

#endif
