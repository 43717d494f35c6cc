/* writes.c - see writes.h. All state is the caller's struct mm_writes. */
#include "leaks/writes.h"

#include "system/bitmap.h"
#include "system/kernel.h"
#include "system/os.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#define REGIONS 2048u
/* In pieces that no huge page lies across. */
#define STEP  ((uintptr_t)8 << 20)
#define PIECE ((uintptr_t)32 << 20)

/* Later than the headers that this is built with. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#define WP_UNPOPULATED (UINT64_C(1) << 13)
#define WP_ASYNC       (UINT64_C(1) << 15)

#define WATCHED     (UINT64_C(1) << 0)
#define WRITTEN     (UINT64_C(1) << 1)
#define PRESENT     (UINT64_C(1) << 3)
#define SWAPPED     (UINT64_C(1) << 4)
#define ZERO        (UINT64_C(1) << 5)
#define HUGE        (UINT64_C(1) << 6)
#define WP_MATCHING (UINT64_C(1) << 0)

struct mm_writes_region {
    uint64_t start, end, categories;
};

struct scan { /* struct pm_scan_arg */
    uint64_t size, flags, start, end, walk_end;
    uint64_t vector, vector_length, max_pages;
    uint64_t inverted, all_of, any_of, returned;
};
#define SCAN _IOWR('f', 16, struct scan)

static bool open_watch(struct mm_writes *writes)
{
    struct uffdio_api api = {.api = UFFD_API, .features = WP_ASYNC | WP_UNPOPULATED};
    writes->watch_fd = mm_kernel_userfaultfd(O_CLOEXEC | UFFD_USER_MODE_ONLY);
    return writes->watch_fd >= 0 && mm_kernel_ioctl(writes->watch_fd, UFFDIO_API, &api) == 0;
}

bool mm_writes_start(struct mm_writes *writes)
{
    *writes = (struct mm_writes){.watch_fd = -1, .pages_fd = -1};
    if (open_watch(writes)) {
        writes->pages_fd = mm_kernel_open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        writes->regions = mm_os_map(REGIONS * sizeof *writes->regions);
    }
    if (writes->pages_fd >= 0 && writes->regions != NULL)
        return true;
    mm_writes_end(writes);
    return false;
}

void mm_writes_end(struct mm_writes *writes)
{
    if (writes->watch_fd >= 0)
        mm_kernel_close(writes->watch_fd);
    if (writes->pages_fd >= 0)
        mm_kernel_close(writes->pages_fd);
    if (writes->regions != NULL)
        mm_os_release(writes->regions, REGIONS * sizeof *writes->regions);
    *writes = (struct mm_writes){.watch_fd = -1, .pages_fd = -1};
}

static struct mm_range whole_pages(struct mm_range range)
{
    uintptr_t mask = mm_os_page_size() - 1;
    return (struct mm_range){range.start & ~mask, (range.end + mask) & ~mask};
}

/* Whether a page is of a file is not asked: the system would look at what it keeps of each. */
static struct scan scan_of(struct mm_range range)
{
    return (struct scan){.size = sizeof(struct scan),
                         .start = range.start,
                         .end = range.end,
                         .inverted = ZERO,
                         .all_of = WRITTEN | ZERO,
                         .any_of = PRESENT | SWAPPED,
                         .returned = WRITTEN};
}

/* Written pages count as not written from now on. Only where they are watched: the mark would stay
 * on any other whatever is written to it. */
static void take_back(struct scan *scan)
{
    scan->flags = WP_MATCHING;
    scan->all_of |= WATCHED;
}

/* Once more for the same does nothing. */
bool mm_writes_watch(const struct mm_writes *writes, struct mm_range range)
{
    range = whole_pages(range);
    struct uffdio_register all = {.range = {range.start, range.end - range.start},
                                  .mode = UFFDIO_REGISTER_MODE_WP};
    return mm_kernel_ioctl(writes->watch_fd, UFFDIO_REGISTER, &all) == 0 || errno != EBUSY;
}

/* A page that is not there is no page to protect: it would take one to say so. */
bool mm_writes_forget(const struct mm_writes *writes, struct mm_range range)
{
    range = whole_pages(range);
    while (range.start < range.end) {
        uintptr_t end = mm_round_up(range.start + 1, PIECE);
        struct scan scan =
            scan_of((struct mm_range){range.start, end < range.end ? end : range.end});
        take_back(&scan);
        if (mm_kernel_ioctl(writes->pages_fd, SCAN, &scan) < 0)
            return false;
        range.start = scan.end;
    }
    return true;
}

/* Pages are given back to be written to with the lock of the mappings shared; to end the watch it
 * is held alone, which is short then. */
void mm_writes_unwatch(const struct mm_writes *writes, struct mm_range range)
{
    range = whole_pages(range);
    while (range.start < range.end) {
        uintptr_t end = mm_round_up(range.start + 1, STEP);
        end = end < range.end ? end : range.end;
        struct uffdio_writeprotect open = {.range = {range.start, end - range.start}};
        struct uffdio_range step = open.range;
        mm_kernel_ioctl(writes->watch_fd, UFFDIO_WRITEPROTECT, &open);
        mm_kernel_ioctl(writes->watch_fd, UFFDIO_UNREGISTER, &step);
        range.start = end;
    }
}

size_t mm_writes_huge(const struct mm_writes *writes, struct mm_range range)
{
    size_t size = 0;
    for (range = whole_pages(range); range.start < range.end;) {
        struct scan scan = {.size = sizeof scan,
                            .start = range.start,
                            .end = range.end,
                            .vector = (uintptr_t)writes->regions,
                            .vector_length = REGIONS,
                            .all_of = HUGE,
                            .returned = HUGE};
        int count = mm_kernel_ioctl(writes->pages_fd, SCAN, &scan);
        if (count < 0 || scan.walk_end <= range.start)
            return SIZE_MAX;
        for (int i = 0; i < count; i++)
            size += writes->regions[i].end - writes->regions[i].start;
        range.start = scan.walk_end;
    }
    return size;
}

/* What lies beside the range on its first and last page is left out. */
static void pass_on(const struct mm_writes_region *region, struct mm_range range,
                    const struct mm_writes_search *search)
{
    struct mm_range pages = {region->start, region->end};
    pages.start = pages.start > range.start ? pages.start : range.start;
    pages.end = pages.end < range.end ? pages.end : range.end;
    search->each(pages, search->with);
}

/* From where on there is more; 0 when the system does not tell. */
static uintptr_t pass_some_on(const struct mm_writes *writes, struct scan *scan,
                              struct mm_range range, const struct mm_writes_search *search,
                              size_t *pages)
{
    scan->vector = (uintptr_t)writes->regions;
    scan->vector_length = REGIONS;
    scan->max_pages = search->most - *pages + 1;
    int count = mm_kernel_ioctl(writes->pages_fd, SCAN, scan);
    bool is_taken_back = (scan->flags & WP_MATCHING) != 0 && count > 0;
    if (count < 0 || scan->walk_end <= scan->start || (is_taken_back && !mm_kernel_barrier()))
        return 0;
    for (int i = 0; i < count; i++) {
        *pages += (writes->regions[i].end - writes->regions[i].start) / mm_os_page_size();
        pass_on(&writes->regions[i], range, search);
    }
    return scan->walk_end;
}

/* Of what is not watched the mark says nothing: pages that were moved may bring it along. */
static struct scan scan_for(struct mm_range range, const struct mm_writes_search *search,
                            bool is_watched)
{
    struct scan scan = scan_of(range);
    scan.all_of |= WATCHED;
    if (is_watched && search->anew)
        take_back(&scan);
    if (!is_watched) {
        scan.all_of &= ~WRITTEN;
        scan.inverted |= WATCHED;
        scan.returned = PRESENT;
    }
    return scan;
}

static size_t each_of(const struct mm_writes *writes, struct mm_range range,
                      const struct mm_writes_search *search, bool is_watched)
{
    size_t pages = 0;
    for (struct mm_range left = whole_pages(range);
         left.start < left.end && pages <= search->most;) {
        struct scan scan = scan_for(left, search, is_watched);
        left.start = pass_some_on(writes, &scan, range, search, &pages);
        if (left.start == 0)
            return SIZE_MAX;
    }
    return pages;
}

struct mm_writes_count mm_writes_each(const struct mm_writes *writes, struct mm_range range,
                                      const struct mm_writes_search *search)
{
    return (struct mm_writes_count){each_of(writes, range, search, true),
                                    each_of(writes, range, search, false)};
}
