/* guarded_make.c - how the pool of guarded slots is made and goes, and how its pages are closed.
 * All that is kept is in guarded_in.h. */
#include "slots/guarded_in.h"

#include "system/bitmap.h"
#include "system/pieces.h"
#include <string.h>

#define MAPS_PART 32u /* slots are no more than this part of the mappings there may be */

struct mm_guarded_in mm_guarded_in MM_SELDOM;
struct mm_guarded_pool mm_guarded;

/* --- pages --- */

bool mm_guarded_shut_pages(uintptr_t start, size_t size)
{
    void *at = (void *)start; /* NOLINT(performance-no-int-to-ptr) */
    if (mm_guarded_gave_up())
        return false;
    return mm_guarded_in.aside != NULL ? mm_os_mark(at, size) : mm_os_protect(at, size);
}

bool mm_guarded_open_pages(uintptr_t start, size_t size)
{
    void *at = (void *)start; /* NOLINT(performance-no-int-to-ptr) */
    return mm_guarded_in.aside != NULL ? mm_os_unmark(at, size) : mm_os_commit(at, size);
}

/* --- the pool is made --- */

static unsigned slots_of_row(unsigned row, size_t page, size_t most)
{
    size_t size = page << row;
    size_t count =
        row == 0 ? mm_guarded_in.settings.least / size : mm_guarded_in.settings.other / size;
    return size > MM_GUARDED_MOST ? 0 : (unsigned)(count < most ? count : most);
}

/* Lays the rows out; returns the bytes of their memory. */
static size_t lay_out(size_t page, bool marks)
{
    size_t bytes = 0;
    size_t most =
        marks ? MM_GUARDED_SLOTS / 2 : mm_os_mappings_most() / MAPS_PART / MM_GUARDED_ROWS;
    mm_guarded_in.count = 0;
    for (unsigned i = 0; i < MM_GUARDED_ROWS; i++) {
        struct mm_guarded_row *row = &mm_guarded_in.rows[i];
        row->start = bytes; /* of the memory, as yet */
        row->size = page << i;
        row->stride = row->size + page;
        row->first = mm_guarded_in.count;
        row->count = slots_of_row(i, page, most);
        row->bits = mm_log2_ceil(row->count + 1);
        mm_guarded_in.count += row->count;
        bytes += row->count != 0 ? page + row->count * row->stride : 0;
    }
    MM_ASSERT(mm_guarded_in.count <= MM_GUARDED_SLOTS);
    return bytes;
}

static size_t size_of_tables(void)
{
    size_t size = mm_guarded_in.count * sizeof *mm_guarded_in.slots;
    for (unsigned i = 0; i < MM_GUARDED_ROWS; i++)
        size += sizeof(uint64_t) << mm_guarded_in.rows[i].bits;
    return size;
}

static void take_tables(char *tables)
{
    mm_guarded_in.tables = tables;
    for (unsigned i = 0; i < MM_GUARDED_ROWS; i++) {
        mm_guarded_in.rows[i].cells = (void *)tables;
        tables += sizeof(uint64_t) << mm_guarded_in.rows[i].bits;
    }
    mm_guarded_in.slots = (struct mm_guarded_words *)(void *)tables;
}

/* Markers need memory that may be accessed, and is not locked: one page is tried first. Emulators
 * and sandboxes may answer to any advice that it was taken. */
static bool has_markers(uintptr_t base, size_t size, size_t page)
{
    void *start = (void *)base; /* NOLINT(performance-no-int-to-ptr) */
    if (!mm_guarded_in.settings.marks || !mm_os_commit(start, page))
        return false;
    if (mm_os_mark(start, page) && !mm_os_is_readable(start) && mm_os_unmark(start, page) &&
        mm_os_commit(start, size))
        return true;
    mm_os_protect(start, size);
    return false;
}

static bool shut_first_fences(uintptr_t base, size_t page)
{
    bool done = true;
    for (unsigned i = 0; i < MM_GUARDED_ROWS; i++) {
        struct mm_guarded_row *row = &mm_guarded_in.rows[i];
        row->start += base;
        if (row->count != 0)
            done &= mm_guarded_shut_pages(row->start, page);
    }
    return done;
}

/* What is kept of markers' blocks is told apart by whether there is a place for it. */
static bool make(void)
{
    size_t page = mm_os_page_size();
    size_t size = lay_out(page, mm_guarded_in.settings.marks);
    void *memory = mm_os_reserve(size);
    if (memory == NULL)
        return false;
    uintptr_t base = (uintptr_t)memory;
    bool marks = has_markers(base, size, page);
    if (mm_guarded_in.settings.marks && !marks)
        lay_out(page, false);
    mm_guarded_in.table_size = size_of_tables();
    char *tables = mm_os_map(mm_guarded_in.table_size);
    mm_guarded_in.aside = marks ? mm_os_map(MM_GUARDED_ASIDE) : NULL;
    if (tables == NULL || (marks && mm_guarded_in.aside == NULL)) {
        if (tables != NULL)
            mm_os_release(tables, mm_guarded_in.table_size);
        mm_os_release(memory, size);
        return false;
    }
    take_tables(tables);
    mm_os_set_dumped(memory, size, true);
    mm_os_keep_small(memory, size);
    mm_guarded_in.made_at = mm_os_milliseconds();
    mm_guarded.base = base;
    if (!shut_first_fences(base, page))
        return false;
    atomic_store_explicit(&mm_guarded.size, size, memory_order_release);
    return true;
}

bool mm_guarded_make(void)
{
    uint32_t nobody = 0;
    return atomic_compare_exchange_strong(&mm_guarded_in.making, &nobody, 1) && make();
}

void mm_guarded_start(const struct mm_guarded_settings *wanted)
{
    mm_guarded_in.settings = *wanted;
}

void mm_guarded_stop(void)
{
    size_t size = atomic_load(&mm_guarded.size);
    if (size != 0) {
        mm_os_release((void *)mm_guarded.base, size); /* NOLINT(performance-no-int-to-ptr) */
        mm_os_release(mm_guarded_in.tables, mm_guarded_in.table_size);
        if (mm_guarded_in.aside != NULL)
            mm_os_release(mm_guarded_in.aside, MM_GUARDED_ASIDE);
    }
    atomic_store(&mm_guarded.size, 0);
    memset(&mm_guarded_in, 0, sizeof mm_guarded_in);
}
