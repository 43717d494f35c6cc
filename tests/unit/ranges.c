/* ranges.c - lists of address ranges, against a map of bytes. */
#include "leaks/ranges.h"

#include "check.h"
#include <string.h>

enum { SPACE = 400, MOST = 40, ROUNDS = 3000 / CHECK_SLOWER };

static bool covered[SPACE], found[SPACE];

static void mark_part(struct mm_range part, void *with)
{
    CHECK(with == found && part.start < part.end && part.end <= SPACE);
    for (uintptr_t at = part.start; at < part.end; at++) {
        CHECK(!found[at]);
        found[at] = true;
    }
}

static void one_round(uint64_t *state)
{
    struct mm_ranges ranges;
    CHECK(mm_ranges_map(&ranges, MOST));
    memset(covered, 0, sizeof covered);
    memset(found, 0, sizeof found);
    for (size_t count = check_below(state, MOST); count > 0; count--) {
        uintptr_t start = check_below(state, SPACE), end = start + check_below(state, 30);
        end = end < SPACE ? end : SPACE;
        mm_ranges_add(&ranges, start, end);
        for (uintptr_t at = start; at < end; at++)
            covered[at] = true;
    }
    mm_ranges_sort(&ranges);
    for (size_t i = 1; i < ranges.count; i++)
        CHECK(ranges.of[i - 1].end < ranges.of[i].start);
    struct mm_range asked = {check_below(state, SPACE), 0};
    asked.end = asked.start + check_below(state, SPACE - asked.start + 1);
    mm_ranges_outside(&ranges, asked, mark_part, found);
    for (uintptr_t at = 0; at < SPACE; at++)
        CHECK_EQUAL(found[at], at >= asked.start && at < asked.end && !covered[at]);
    mm_ranges_release(&ranges);
}

int main(void)
{
    uint64_t state = 1;
    for (int round = 0; round < ROUNDS; round++)
        one_round(&state);
    struct mm_ranges full;
    CHECK(mm_ranges_map(&full, 1));
    mm_ranges_add(&full, 1, 1);
    mm_ranges_add(&full, 1, 2);
    CHECK(!full.is_cut);
    mm_ranges_add(&full, 5, 6);
    CHECK(full.is_cut && full.count == 1);
    mm_ranges_release(&full);
    return 0;
}
