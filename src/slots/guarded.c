/* guarded.c - see guarded.h. The pool's memory, and behind it its tables, are mapped at once and
 * stay (guarded_make.c). A slot's words are those of who has it by its state; freed slots wait in a
 * ring for each row, whose cells say by their lap whether they were filled; what freed blocks held
 * is in another ring, of bytes, that overwrites its oldest. */
#include "slots/guarded.h"

#include "slots/guarded_in.h"
#include "system/bitmap.h"
#include <string.h>

#define MADE_A_MS   1000u                 /* until one more slot is made */
#define ASIDE_SLACK ((uint64_t)256 << 10) /* that threads at work may be about to overwrite */
#define ROUNDS      120u                  /* of waiting for who opens the same slot */

static bool is_made(void)
{
    return atomic_load_explicit(&mm_guarded.size, memory_order_acquire) != 0 || mm_guarded_make();
}

/* --- slots by number and by address --- */

static struct mm_guarded_row *row_of(unsigned number)
{
    struct mm_guarded_row *row = mm_guarded_in.rows;
    while (number - row->first >= row->count)
        row++;
    return row;
}

static uintptr_t start_of(const struct mm_guarded_row *row, unsigned number)
{
    return row->start + (row->stride - row->size) + (number - row->first) * row->stride;
}

static void describe(const struct mm_guarded_row *row, unsigned number,
                     struct mm_guarded_slot *slot)
{
    struct mm_guarded_words *of = &mm_guarded_in.slots[number];
    slot->number = number;
    slot->state = (enum mm_guarded_state)atomic_load_explicit(&of->state, memory_order_acquire);
    slot->start = start_of(row, number);
    slot->end = slot->start + row->size;
    slot->block = atomic_load_explicit(&of->block, memory_order_relaxed);
    slot->before = atomic_load_explicit(&of->before, memory_order_relaxed);
    slot->asked = of->size;
}

/* The row that an address of the pool is in, and how far it is into it; NULL: in none. */
static struct mm_guarded_row *row_at(uintptr_t address, uintptr_t *offset)
{
    for (unsigned i = 0; i < MM_GUARDED_ROWS; i++) {
        struct mm_guarded_row *row = &mm_guarded_in.rows[i];
        *offset = address - row->start;
        if (row->count != 0 && *offset < row->stride - row->size + row->count * row->stride)
            return row;
    }
    return NULL;
}

void mm_guarded_find(uintptr_t address, struct mm_guarded_slot *slot,
                     struct mm_guarded_slot *beside)
{
    uintptr_t offset;
    const struct mm_guarded_row *row = row_at(address, &offset);
    slot->number = beside->number = MM_GUARDED_SLOTS;
    if (row == NULL)
        return;
    uintptr_t fence = row->stride - row->size;
    if (offset < fence) {
        describe(row, row->first, beside);
        return;
    }
    unsigned index = (unsigned)((offset - fence) / row->stride);
    describe(row, row->first + index, slot);
    if (address >= slot->end && index + 1 < row->count)
        describe(row, row->first + index + 1, beside);
}

bool mm_guarded_nearest(uintptr_t address, struct mm_guarded_slot *slot)
{
    struct mm_guarded_slot above;
    mm_guarded_find(address, slot, &above);
    bool has_below = slot->number != MM_GUARDED_SLOTS && slot->block != 0;
    bool has_above = above.number != MM_GUARDED_SLOTS && above.block != 0;
    if (!has_above || (has_below && address < slot->end))
        return has_below;
    if (!has_below || above.block - address < address - (slot->block + slot->asked))
        *slot = above;
    return true;
}

/* --- the ring of freed slots --- */

static uint64_t lap_of(const struct mm_guarded_row *row, uint64_t place)
{
    return (place >> row->bits) + 1;
}

static _Atomic uint64_t *cell_of(const struct mm_guarded_row *row, uint64_t place)
{
    return &row->cells[place & (((uint64_t)1 << row->bits) - 1)];
}

/* Release pairs with the acquire of pop(). */
static void push(struct mm_guarded_row *row, unsigned number)
{
    uint64_t place = atomic_fetch_add_explicit(&row->tail, 1, memory_order_relaxed);
    atomic_store_explicit(cell_of(row, place), lap_of(row, place) << 32 | number,
                          memory_order_release);
}

/* MM_GUARDED_SLOTS: none; or who freed the oldest is still about to say so. */
static unsigned pop(struct mm_guarded_row *row)
{
    uint64_t head = atomic_load_explicit(&row->head, memory_order_relaxed);
    for (;;) {
        if (head >= atomic_load_explicit(&row->tail, memory_order_relaxed))
            return MM_GUARDED_SLOTS;
        uint64_t cell = atomic_load_explicit(cell_of(row, head), memory_order_acquire);
        if (cell >> 32 != (uint32_t)lap_of(row, head))
            return MM_GUARDED_SLOTS;
        if (atomic_compare_exchange_weak_explicit(&row->head, &head, head + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return (unsigned)(uint32_t)cell;
    }
}

/* --- what freed blocks held --- */

static void copy_in(uint64_t place, const char *from, size_t size)
{
    size_t at = place % MM_GUARDED_ASIDE,
           first = MM_GUARDED_ASIDE - at < size ? MM_GUARDED_ASIDE - at : size;
    memcpy(mm_guarded_in.aside + at, from, first);
    memcpy(mm_guarded_in.aside, from + first, size - first);
}

static void copy_out(char *to, uint64_t place, size_t size)
{
    size_t at = place % MM_GUARDED_ASIDE,
           first = MM_GUARDED_ASIDE - at < size ? MM_GUARDED_ASIDE - at : size;
    memcpy(to, mm_guarded_in.aside + at, first);
    memcpy(to + first, mm_guarded_in.aside, size - first);
}

static void put_aside(struct mm_guarded_words *of, uintptr_t block)
{
    uint64_t place =
        atomic_fetch_add_explicit(&mm_guarded_in.aside_end, of->size, memory_order_relaxed);
    copy_in(place, (const char *)block, of->size); /* NOLINT(performance-no-int-to-ptr) */
    atomic_store_explicit(&of->aside, place, memory_order_release);
}

static bool is_aside(uint64_t place)
{
    uint64_t end = atomic_load_explicit(&mm_guarded_in.aside_end, memory_order_relaxed);
    return end - place < MM_GUARDED_ASIDE - ASIDE_SLACK;
}

/* The slot's pages come into place with all that is in them, so that no other thread finds them
 * empty. What has gone from aside reads as zero. */
static bool put_back(const struct mm_guarded_slot *slot, struct mm_guarded_words *of)
{
    size_t size = slot->end - slot->start;
    uint64_t place = atomic_load_explicit(&of->aside, memory_order_acquire);
    char *pages = is_aside(place) ? mm_os_map(size) : NULL;
    if (pages == NULL)
        return mm_guarded_open_pages(slot->start, size);
    copy_out(pages + (slot->block - slot->start), place, slot->asked);
    if (is_aside(place) &&
        mm_os_move(pages, (void *)slot->start, size)) /* NOLINT(performance-no-int-to-ptr) */
        return true;
    mm_os_release(pages, size);
    return mm_guarded_open_pages(slot->start, size);
}

/* --- taken and given back --- */

static bool is_live(const struct mm_guarded_row *row, unsigned number)
{
    return number < row->first + row->count &&
           atomic_load_explicit(&mm_guarded_in.slots[number].state, memory_order_relaxed) ==
               MM_GUARDED_LIVE;
}

/* One that was opened after a fault is closed again, unless that is another live block's. */
static bool shut_fence(const struct mm_guarded_row *row, unsigned number)
{
    struct mm_guarded_words *of = &mm_guarded_in.slots[number];
    uint32_t fence = atomic_load_explicit(&of->fence, memory_order_relaxed);
    if (fence == MM_FENCE_SHUT || (fence == MM_FENCE_OPEN && is_live(row, number + 1)))
        return true;
    bool done = mm_guarded_shut_pages(start_of(row, number) + row->size, row->stride - row->size);
    if (done)
        atomic_store_explicit(&of->fence, MM_FENCE_SHUT, memory_order_relaxed);
    return done;
}

/* How many may have been made by now before one is used again. */
static bool may_make(void)
{
    uint32_t made = atomic_load_explicit(&mm_guarded_in.made, memory_order_relaxed);
    return made < mm_guarded_in.settings.few ||
           made - mm_guarded_in.settings.few <
               (mm_os_milliseconds() - mm_guarded_in.made_at) / MADE_A_MS;
}

static unsigned make_slot(struct mm_guarded_row *row)
{
    uint32_t made = atomic_load_explicit(&row->made, memory_order_relaxed);
    while (made < row->count) {
        if (atomic_compare_exchange_weak_explicit(&row->made, &made, made + 1, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            atomic_fetch_add_explicit(&mm_guarded_in.made, 1, memory_order_relaxed);
            return row->first + made;
        }
    }
    return MM_GUARDED_SLOTS;
}

static unsigned take_number(struct mm_guarded_row *row, bool may_reuse)
{
    unsigned number = may_make() ? make_slot(row) : MM_GUARDED_SLOTS;
    if (number == MM_GUARDED_SLOTS && may_reuse)
        number = pop(row);
    if (number == MM_GUARDED_SLOTS && may_reuse)
        number = make_slot(row);
    return number;
}

/* False: somebody who touched it after its free is about to open it. */
static bool begin_opening(struct mm_guarded_words *of)
{
    uint32_t opened = atomic_load_explicit(&of->opened, memory_order_relaxed);
    return opened != MM_GUARDED_OPENING &&
           atomic_compare_exchange_strong_explicit(&of->opened, &opened, MM_GUARDED_OPENING,
                                                   memory_order_acquire, memory_order_relaxed);
}

static void end_opening(struct mm_guarded_words *of, enum mm_guarded_opened opened)
{
    atomic_store_explicit(&of->opened, opened, memory_order_release);
}

static bool take_in(struct mm_guarded_row *row, bool may_reuse, struct mm_guarded_slot *slot)
{
    unsigned number = row->count != 0 ? take_number(row, may_reuse) : MM_GUARDED_SLOTS;
    if (number == MM_GUARDED_SLOTS)
        return false;
    struct mm_guarded_words *of = &mm_guarded_in.slots[number];
    describe(row, number, slot);
    if (begin_opening(of)) {
        if (shut_fence(row, number) && mm_guarded_open_pages(slot->start, row->size)) {
            atomic_store_explicit(&of->state, MM_GUARDED_TAKEN, memory_order_relaxed);
            return true;
        }
        end_opening(of, MM_GUARDED_SHUT);
    }
    atomic_store_explicit(&of->state, MM_GUARDED_FREED, memory_order_relaxed);
    push(row, number);
    return false;
}

static bool has_room_in(const struct mm_guarded_row *row)
{
    return atomic_load_explicit(&row->made, memory_order_relaxed) < row->count ||
           atomic_load_explicit(&row->head, memory_order_relaxed) <
               atomic_load_explicit(&row->tail, memory_order_relaxed);
}

bool mm_guarded_has_room(size_t size)
{
    if (mm_guarded_gave_up())
        return false;
    if (atomic_load_explicit(&mm_guarded.size, memory_order_acquire) == 0)
        return true; /* it is made by who takes the first */
    for (unsigned i = 0; i < MM_GUARDED_ROWS; i++) {
        if (size <= mm_guarded_in.rows[i].size && has_room_in(&mm_guarded_in.rows[i]))
            return true;
    }
    return false;
}

bool mm_guarded_take(size_t size, size_t alignment, bool may_reuse, struct mm_guarded_slot *slot)
{
    if (size > MM_GUARDED_MOST || alignment > mm_os_page_size() || !is_made() ||
        mm_guarded_gave_up())
        return false;
    for (unsigned i = 0; i < MM_GUARDED_ROWS; i++) {
        if (size <= mm_guarded_in.rows[i].size && take_in(&mm_guarded_in.rows[i], may_reuse, slot))
            return true;
    }
    return false;
}

void mm_guarded_place(struct mm_guarded_slot *slot, size_t asked, size_t alignment, bool at_start)
{
    struct mm_guarded_words *of = &mm_guarded_in.slots[slot->number];
    size_t size = asked != 0 ? asked : 1;
    slot->asked = asked;
    slot->block = at_start ? slot->start : (slot->end - size) & ~(uintptr_t)(alignment - 1);
    MM_ASSERT(slot->block >= slot->start);
    of->size = (uint32_t)asked;
    atomic_store_explicit(&of->before, atomic_load_explicit(&of->block, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&of->block, slot->block, memory_order_relaxed);
}

/* Release pairs with the acquire of describe(). */
void mm_guarded_hand_out(const struct mm_guarded_slot *slot)
{
    struct mm_guarded_words *of = &mm_guarded_in.slots[slot->number];
    atomic_store_explicit(&of->state, MM_GUARDED_LIVE, memory_order_release);
    end_opening(of, MM_GUARDED_OPEN);
}

bool mm_guarded_strike(const struct mm_guarded_slot *slot)
{
    uint32_t live = MM_GUARDED_LIVE;
    return atomic_compare_exchange_strong_explicit(&mm_guarded_in.slots[slot->number].state, &live,
                                                   MM_GUARDED_FREED, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/* What the system does not close stays open: nothing is found there, and nothing harmed. */
void mm_guarded_close(const struct mm_guarded_slot *slot)
{
    struct mm_guarded_words *of = &mm_guarded_in.slots[slot->number];
    if (mm_guarded_in.aside != NULL)
        put_aside(of, slot->block);
    atomic_store_explicit(&of->opened, MM_GUARDED_SHUT, memory_order_release);
    mm_guarded_shut_pages(slot->start, slot->end - slot->start);
    push(row_of(slot->number), slot->number);
}

/* --- opened after a fault --- */

static bool open_fence(const struct mm_guarded_slot *below, uintptr_t address)
{
    size_t page = mm_os_page_size();
    if (!mm_guarded_open_pages(address & ~(uintptr_t)(page - 1), page))
        return false;
    if (below->number != MM_GUARDED_SLOTS)
        atomic_store_explicit(&mm_guarded_in.slots[below->number].fence, MM_FENCE_OPEN,
                              memory_order_relaxed);
    return true;
}

/* Of several threads that fault there at once one opens it, and the others come back when it is; or
 * open it as well, where that one was left behind. */
static bool open_slot(const struct mm_guarded_slot *slot)
{
    struct mm_guarded_words *of = &mm_guarded_in.slots[slot->number];
    size_t size = slot->end - slot->start;
    uint32_t opened = MM_GUARDED_SHUT;
    if (slot->state == MM_GUARDED_UNUSED)
        return mm_guarded_open_pages(slot->start, size);
    if (atomic_compare_exchange_strong_explicit(&of->opened, &opened, MM_GUARDED_OPENING,
                                                memory_order_acquire, memory_order_acquire)) {
        bool done = mm_guarded_in.aside != NULL ? put_back(slot, of)
                                                : mm_guarded_open_pages(slot->start, size);
        end_opening(of, done ? MM_GUARDED_OPEN : MM_GUARDED_SHUT);
        return done;
    }
    for (unsigned round = 0; round < ROUNDS && opened == MM_GUARDED_OPENING; round++) {
        mm_os_wait(round);
        opened = atomic_load_explicit(&of->opened, memory_order_acquire);
    }
    return opened == MM_GUARDED_OPEN || mm_guarded_open_pages(slot->start, size);
}

bool mm_guarded_open(uintptr_t address)
{
    struct mm_guarded_slot slot, above;
    mm_guarded_find(address, &slot, &above);
    struct mm_signals signals = mm_os_block_signals();
    bool is_in_slot = slot.number != MM_GUARDED_SLOTS && address < slot.end;
    bool done = is_in_slot ? open_slot(&slot) : open_fence(&slot, address);
    mm_os_restore_signals(&signals);
    return done;
}

void mm_guarded_open_range(uintptr_t start, size_t size)
{
    size_t page = mm_os_page_size();
    uintptr_t end = start + size;
    size_t whole = atomic_load_explicit(&mm_guarded.size, memory_order_acquire);
    if (whole == 0 || end <= mm_guarded.base || start - mm_guarded.base >= whole || end < start)
        return;
    if (end > mm_guarded.base + whole)
        end = mm_guarded.base + whole;
    for (uintptr_t at = start; at < end; at = (at | (page - 1)) + 1) {
        struct mm_guarded_slot slot, above;
        mm_guarded_find(at, &slot, &above);
        bool is_live =
            slot.number != MM_GUARDED_SLOTS && at < slot.end && slot.state == MM_GUARDED_LIVE;
        if (!is_live)
            mm_guarded_open(at);
    }
}

void mm_guarded_give_up(void)
{
    size_t size = atomic_load_explicit(&mm_guarded.size, memory_order_acquire);
    if (!atomic_exchange(&mm_guarded_in.is_given_up, true) && size != 0)
        mm_guarded_open_pages(mm_guarded.base, size);
}

bool mm_guarded_gave_up(void)
{
    return atomic_load_explicit(&mm_guarded_in.is_given_up, memory_order_relaxed);
}

/* --- all of them --- */

void mm_guarded_after_fork(void)
{
    for (unsigned number = 0; number < mm_guarded_in.count; number++) {
        struct mm_guarded_words *of = &mm_guarded_in.slots[number];
        const struct mm_guarded_row *row = row_of(number);
        if (atomic_load_explicit(&of->opened, memory_order_relaxed) != MM_GUARDED_OPENING)
            continue;
        atomic_store_explicit(&of->state, MM_GUARDED_UNUSED, memory_order_relaxed);
        mm_guarded_open_pages(start_of(row, number), row->size);
        end_opening(of, MM_GUARDED_OPEN);
    }
}

void mm_guarded_each(void (*each)(const struct mm_guarded_slot *slot, void *with), void *with)
{
    if (atomic_load_explicit(&mm_guarded.size, memory_order_acquire) == 0)
        return;
    for (unsigned i = 0; i < MM_GUARDED_ROWS; i++) {
        const struct mm_guarded_row *row = &mm_guarded_in.rows[i];
        uint32_t made = atomic_load_explicit(&row->made, memory_order_relaxed);
        for (unsigned number = row->first; number < row->first + made; number++) {
            struct mm_guarded_slot slot;
            describe(row, number, &slot);
            if (slot.state == MM_GUARDED_LIVE)
                each(&slot, with);
        }
    }
}

struct live {
    size_t count, bytes;
};

static void count_live(const struct mm_guarded_slot *slot, void *with)
{
    struct live *live = with;
    live->count++;
    live->bytes += slot->asked;
}

size_t mm_guarded_live(size_t *bytes)
{
    struct live live = {0, 0};
    mm_guarded_each(count_live, &live);
    if (bytes != NULL)
        *bytes = live.bytes;
    return live.count;
}
