/* present.c - see present.h. Keeps nothing. */
#include "leaks/present.h"

#include "system/kernel.h"
#include "system/os.h"

#define PRESENT (UINT64_C(3) << 62)

static size_t read_entries(int fd, uint64_t *entries, uintptr_t page, size_t count)
{
    ssize_t got =
        fd < 0 ? -1
               : mm_kernel_read_at(fd, entries, count * sizeof *entries, page * sizeof *entries);
    return got > 0 ? (size_t)got / sizeof *entries : 0;
}

/* In steps of what the system tells at once. */
void mm_present_each(int fd, uint64_t *entries, struct mm_range range,
                     void (*row)(struct mm_range row, void *with), void *with)
{
    size_t page_size = mm_os_page_size();
    while (range.start < range.end) {
        uintptr_t first = range.start / page_size, last = (range.end - 1) / page_size;
        size_t most = last - first + 1 < MM_PRESENT_ENTRIES ? last - first + 1 : MM_PRESENT_ENTRIES;
        size_t count = read_entries(fd, entries, first, most), run = 0;
        if (count == 0) {
            row(range, with);
            return;
        }
        for (size_t i = 0; i < count; i += run) {
            bool has = entries[i] & PRESENT;
            for (run = 1; i + run < count && !(entries[i + run] & PRESENT) == !has;)
                run++;
            uintptr_t from = (first + i) * page_size, to = (first + i + run) * page_size;
            if (has)
                row((struct mm_range){from > range.start ? from : range.start,
                                      to < range.end ? to : range.end},
                    with);
        }
        range.start = (first + count) * page_size;
    }
}
