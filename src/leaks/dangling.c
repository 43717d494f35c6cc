/* dangling.c - see dangling.h. A word is taken for a pointer when it lies in what was asked for of
 * a slot that was freed and not handed out again, guarded or not, or of a forwarded block that is
 * held: any other may be somebody else's memory by now. Stacks are left out: most of what points to
 * freed blocks there is left over. For one thread, while no other changes a block. */
#include "leaks/dangling.h"

#include "blocks/record.h"
#include "leaks/sort.h"
#include "slots/guarded.h"
#include "system/os.h"

struct freed {
    uintptr_t start, end;
};

struct search {
    const struct mm_roots *roots;
    struct freed *freed; /* forwarded blocks, by address */
    size_t count, capacity;
    void (*each)(const struct mm_dangling_pointer *pointer, void *with);
    void *with;
};

/* --- forwarded blocks that are held --- */

static bool is_held(const struct mm_record *record)
{
    return mm_record_shape(record) & MM_SHAPE_HELD;
}

static void count_held(uintptr_t address, struct mm_record *record, void *with)
{
    (void)address;
    ((struct search *)with)->capacity += is_held(record);
}

static void add_held(uintptr_t address, struct mm_record *record, void *with)
{
    struct search *search = with;
    if (!is_held(record) || search->count == search->capacity)
        return;
    size_t asked = mm_shape_asked(mm_record_shape(record));
    search->freed[search->count++] = (struct freed){address, address + asked};
}

static bool comes_before(const void *one, const void *other)
{
    return ((const struct freed *)one)->start < ((const struct freed *)other)->start;
}

static bool list_held(struct search *search)
{
    mm_records_each_forwarded(count_held, search);
    if (search->capacity == 0)
        return true;
    search->freed = mm_os_map(search->capacity * sizeof *search->freed);
    if (search->freed == NULL)
        return false;
    mm_records_each_forwarded(add_held, search);
    mm_sort(search->freed, search->count, sizeof *search->freed, comes_before);
    return true;
}

/* 0: it is in none. */
static uintptr_t held_around(const struct search *search, uintptr_t address)
{
    size_t low = 0, high = search->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (search->freed[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    bool is_in = low < search->count && address >= search->freed[low].start;
    return is_in ? search->freed[low].start : 0;
}

/* --- slots --- */

/* The record of one that was handed out again tells of no free. 0: it is none that was freed. */
static uintptr_t freed_slot_around(uintptr_t address)
{
    struct mm_slot_info info = mm_batch_inspect(address);
    const struct mm_record *record =
        info.in_slot ? mm_records_traced_slot(info.base, info.size, info.index) : NULL;
    if (record == NULL || atomic_load_explicit(&record->freed, memory_order_relaxed) == 0 ||
        info.offset >= mm_shape_asked(mm_record_shape(record)))
        return 0;
    return address - info.offset;
}

/* --- guarded slots --- */

static uintptr_t freed_guarded_around(uintptr_t address)
{
    struct mm_guarded_slot slot, above;
    mm_guarded_find(address, &slot, &above);
    bool was_freed = slot.number != MM_GUARDED_SLOTS && slot.block != 0 &&
                     slot.state != MM_GUARDED_LIVE && address - slot.block < slot.asked;
    return was_freed ? slot.block : 0;
}

/* --- words --- */

static void look_at(const struct search *search, uintptr_t word, uintptr_t at, uintptr_t holder)
{
    uintptr_t address = mm_os_untagged((const void *)word); /* NOLINT */
    uintptr_t block = mm_arena_has(address)     ? freed_slot_around(address)
                      : mm_guarded_has(address) ? freed_guarded_around(address)
                                                : held_around(search, address);
    struct mm_dangling_pointer pointer = {at, holder, block, address - block};
    if (block != 0 && (holder != 0 || !mm_roots_is_stack(search->roots, at)))
        search->each(&pointer, search->with);
}

static void look_in_block(const uintptr_t *words, size_t count, uintptr_t block, void *with)
{
    for (size_t i = 0; i < count; i++)
        look_at(with, words[i], (uintptr_t)&words[i], block);
}

static void look_in_root(const uintptr_t *words, size_t count, uintptr_t at, void *with)
{
    for (size_t i = 0; i < count; i++)
        look_at(with, words[i], at + i * sizeof *words, 0);
}

bool mm_dangling_each(struct mm_marks *marks, struct mm_roots *roots,
                      void (*each)(const struct mm_dangling_pointer *pointer, void *with),
                      void *with)
{
    struct search search = {.roots = roots, .each = each, .with = with};
    if (!list_held(&search))
        return false;
    mm_marks_each_marked(marks, look_in_block, &search);
    mm_roots_each(roots, look_in_root, &search);
    if (search.freed != NULL)
        mm_os_release(search.freed, search.capacity * sizeof *search.freed);
    return true;
}
