/* guarded.c - see guarded.h. The pool's memory, and behind it its tables, are mapped at once and
 * stay. `making` is taken by whoever makes it; a slot's words are those of who has it by its state;
 * freed slots wait in a ring for each row, whose cells say by their lap whether they were filled;
 * what freed blocks held is in another ring, of bytes, that overwrites its oldest. */
#include "slots/guarded.h"

#include "system/bitmap.h"
#include "system/macros.h"
#include "system/pieces.h"
#include <string.h>

#define ROWS        5u    /* 1, 2, 4, 8, 16 pages of 4 KiB */
#define MADE_A_MS   1000u /* until one more slot is made */
#define ASIDE_BYTES ((size_t)4 << 20)
#define ASIDE_SLACK ((uint64_t)256 << 10) /* that threads at work may be about to overwrite */
#define ROUNDS      120u                  /* of waiting for who opens the same slot */
#define MAPS_PART   32u /* slots are no more than this part of the mappings there may be */

struct slot {
    _Atomic uint32_t state;  /* enum mm_guarded_state */
    _Atomic uint32_t opened; /* enum opened */
    _Atomic uint32_t fence;  /* enum fence: the one above it */
    _Atomic uint32_t size;   /* asked */
    _Atomic uintptr_t block, before;
    _Atomic uint64_t aside; /* where in that ring its content is */
};
/* Whoever opens a slot, to hand it out or after a fault, is alone with its pages meanwhile. */
enum opened { SHUT, OPENING, OPEN };
enum fence { FENCE_NEW, FENCE_SHUT, FENCE_OPEN };

struct row {
    uintptr_t start;
    size_t size, stride; /* of a slot; and with its fence */
    unsigned first, count;
    _Atomic uint32_t made; /* slots that were ever handed out */
    _Atomic uint64_t head, tail;
    _Atomic uint64_t *cells; /* as many as there are slots, at least; a power of two */
    unsigned bits;
};

static struct mm_guarded_settings settings;
static struct {
    struct row rows[ROWS];
    struct slot *slots;
    unsigned count;
    _Atomic uint32_t made; /* of all rows */
    unsigned char *aside;  /* NULL: pages keep their content */
    _Atomic uint64_t aside_end;
    uint64_t made_at;
    void *tables;
    size_t table_size;
} pool MM_SELDOM;
struct mm_guarded_pool mm_guarded;
static _Atomic bool is_given_up;
static _Atomic uint32_t making; /* 0: nobody yet; 1: somebody is at it, or was in vain */

/* --- pages --- */

static bool shut(uintptr_t start, size_t size)
{
    void *at = (void *)start; /* NOLINT(performance-no-int-to-ptr) */
    if (atomic_load_explicit(&is_given_up, memory_order_relaxed))
        return false;
    return pool.aside != NULL ? mm_os_mark(at, size) : mm_os_protect(at, size);
}

static bool open(uintptr_t start, size_t size)
{
    void *at = (void *)start; /* NOLINT(performance-no-int-to-ptr) */
    return pool.aside != NULL ? mm_os_unmark(at, size) : mm_os_commit(at, size);
}

/* --- the pool is made --- */

static unsigned slots_of_row(unsigned row, size_t page, size_t most)
{
    size_t size = page << row;
    size_t count = row == 0 ? settings.least / size : settings.other / size;
    return size > MM_GUARDED_MOST ? 0 : (unsigned)(count < most ? count : most);
}

/* Lays the rows out; returns the bytes of their memory. */
static size_t lay_out(size_t page, bool marks)
{
    size_t bytes = 0;
    size_t most = marks ? MM_GUARDED_SLOTS / 2 : mm_os_mappings_most() / MAPS_PART / ROWS;
    pool.count = 0;
    for (unsigned i = 0; i < ROWS; i++) {
        struct row *row = &pool.rows[i];
        row->start = bytes; /* of the memory, as yet */
        row->size = page << i;
        row->stride = row->size + page;
        row->first = pool.count;
        row->count = slots_of_row(i, page, most);
        row->bits = mm_log2_ceil(row->count + 1);
        pool.count += row->count;
        bytes += row->count != 0 ? page + row->count * row->stride : 0;
    }
    MM_ASSERT(pool.count <= MM_GUARDED_SLOTS);
    return bytes;
}

static size_t size_of_tables(void)
{
    size_t size = pool.count * sizeof *pool.slots;
    for (unsigned i = 0; i < ROWS; i++)
        size += sizeof(uint64_t) << pool.rows[i].bits;
    return size;
}

static void take_tables(char *tables)
{
    pool.tables = tables;
    for (unsigned i = 0; i < ROWS; i++) {
        pool.rows[i].cells = (void *)tables;
        tables += sizeof(uint64_t) << pool.rows[i].bits;
    }
    pool.slots = (struct slot *)(void *)tables;
}

/* Markers need memory that may be accessed, and is not locked: one page is tried first. */
static bool has_markers(uintptr_t base, size_t size, size_t page)
{
    void *start = (void *)base; /* NOLINT(performance-no-int-to-ptr) */
    if (!settings.marks || !mm_os_commit(start, page))
        return false;
    if (mm_os_mark(start, page) && mm_os_unmark(start, page) && mm_os_commit(start, size))
        return true;
    mm_os_protect(start, size);
    return false;
}

static bool shut_first_fences(uintptr_t base, size_t page)
{
    bool done = true;
    for (unsigned i = 0; i < ROWS; i++) {
        struct row *row = &pool.rows[i];
        row->start += base;
        if (row->count != 0)
            done &= shut(row->start, page);
    }
    return done;
}

/* What is kept of markers' blocks is told apart by whether there is a place for it. */
static bool make(void)
{
    size_t page = mm_os_page_size();
    size_t size = lay_out(page, settings.marks);
    void *memory = mm_os_reserve(size);
    if (memory == NULL)
        return false;
    uintptr_t base = (uintptr_t)memory;
    bool marks = has_markers(base, size, page);
    if (settings.marks && !marks)
        lay_out(page, false);
    pool.table_size = size_of_tables();
    char *tables = mm_os_map(pool.table_size);
    pool.aside = marks ? mm_os_map(ASIDE_BYTES) : NULL;
    if (tables == NULL || (marks && pool.aside == NULL)) {
        if (tables != NULL)
            mm_os_release(tables, pool.table_size);
        mm_os_release(memory, size);
        return false;
    }
    take_tables(tables);
    mm_os_set_dumped(memory, size, true);
    mm_os_keep_small(memory, size);
    pool.made_at = mm_os_milliseconds();
    mm_guarded.base = base;
    if (!shut_first_fences(base, page))
        return false;
    atomic_store_explicit(&mm_guarded.size, size, memory_order_release);
    return true;
}

MM_COLD static bool make_once(void)
{
    uint32_t nobody = 0;
    return atomic_compare_exchange_strong(&making, &nobody, 1) && make();
}

static bool is_made(void)
{
    return atomic_load_explicit(&mm_guarded.size, memory_order_acquire) != 0 || make_once();
}

void mm_guarded_start(const struct mm_guarded_settings *wanted)
{
    settings = *wanted;
}

void mm_guarded_stop(void)
{
    size_t size = atomic_load(&mm_guarded.size);
    if (size != 0) {
        mm_os_release((void *)mm_guarded.base, size); /* NOLINT(performance-no-int-to-ptr) */
        mm_os_release(pool.tables, pool.table_size);
        if (pool.aside != NULL)
            mm_os_release(pool.aside, ASIDE_BYTES);
    }
    atomic_store(&mm_guarded.size, 0);
    memset(&pool, 0, sizeof pool);
    atomic_store(&making, 0);
    atomic_store(&is_given_up, false);
}

/* --- slots by number and by address --- */

static struct row *row_of(unsigned number)
{
    struct row *row = pool.rows;
    while (number - row->first >= row->count)
        row++;
    return row;
}

static uintptr_t start_of(const struct row *row, unsigned number)
{
    return row->start + (row->stride - row->size) + (number - row->first) * row->stride;
}

static void describe(const struct row *row, unsigned number, struct mm_guarded_slot *slot)
{
    struct slot *of = &pool.slots[number];
    slot->number = number;
    slot->state = (enum mm_guarded_state)atomic_load_explicit(&of->state, memory_order_acquire);
    slot->start = start_of(row, number);
    slot->end = slot->start + row->size;
    slot->block = atomic_load_explicit(&of->block, memory_order_relaxed);
    slot->before = atomic_load_explicit(&of->before, memory_order_relaxed);
    slot->asked = of->size;
}

/* The row that an address of the pool is in, and how far it is into it; NULL: in none. */
static struct row *row_at(uintptr_t address, uintptr_t *offset)
{
    for (unsigned i = 0; i < ROWS; i++) {
        struct row *row = &pool.rows[i];
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
    const struct row *row = row_at(address, &offset);
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

/* --- the ring of freed slots --- */

static uint64_t lap_of(const struct row *row, uint64_t place)
{
    return (place >> row->bits) + 1;
}

static _Atomic uint64_t *cell_of(const struct row *row, uint64_t place)
{
    return &row->cells[place & (((uint64_t)1 << row->bits) - 1)];
}

/* Release pairs with the acquire of pop(). */
static void push(struct row *row, unsigned number)
{
    uint64_t place = atomic_fetch_add_explicit(&row->tail, 1, memory_order_relaxed);
    atomic_store_explicit(cell_of(row, place), lap_of(row, place) << 32 | number,
                          memory_order_release);
}

/* MM_GUARDED_SLOTS: none; or who freed the oldest is still about to say so. */
static unsigned pop(struct row *row)
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
    size_t at = place % ASIDE_BYTES, first = ASIDE_BYTES - at < size ? ASIDE_BYTES - at : size;
    memcpy(pool.aside + at, from, first);
    memcpy(pool.aside, from + first, size - first);
}

static void copy_out(char *to, uint64_t place, size_t size)
{
    size_t at = place % ASIDE_BYTES, first = ASIDE_BYTES - at < size ? ASIDE_BYTES - at : size;
    memcpy(to, pool.aside + at, first);
    memcpy(to + first, pool.aside, size - first);
}

static void put_aside(struct slot *of, uintptr_t block)
{
    uint64_t place = atomic_fetch_add_explicit(&pool.aside_end, of->size, memory_order_relaxed);
    copy_in(place, (const char *)block, of->size); /* NOLINT(performance-no-int-to-ptr) */
    atomic_store_explicit(&of->aside, place, memory_order_release);
}

static bool is_aside(uint64_t place)
{
    uint64_t end = atomic_load_explicit(&pool.aside_end, memory_order_relaxed);
    return end - place < ASIDE_BYTES - ASIDE_SLACK;
}

/* The slot's pages come into place with all that is in them, so that no other thread finds them
 * empty. What has gone from aside reads as zero. */
static bool put_back(const struct mm_guarded_slot *slot, struct slot *of)
{
    size_t size = slot->end - slot->start;
    uint64_t place = atomic_load_explicit(&of->aside, memory_order_acquire);
    char *pages = is_aside(place) ? mm_os_map(size) : NULL;
    if (pages == NULL)
        return open(slot->start, size);
    copy_out(pages + (slot->block - slot->start), place, slot->asked);
    if (is_aside(place) &&
        mm_os_move(pages, (void *)slot->start, size)) /* NOLINT(performance-no-int-to-ptr) */
        return true;
    mm_os_release(pages, size);
    return open(slot->start, size);
}

/* --- taken and given back --- */

static bool is_live(const struct row *row, unsigned number)
{
    return number < row->first + row->count &&
           atomic_load_explicit(&pool.slots[number].state, memory_order_relaxed) == MM_GUARDED_LIVE;
}

/* One that was opened after a fault is closed again, unless that is another live block's. */
static bool shut_fence(const struct row *row, unsigned number)
{
    struct slot *of = &pool.slots[number];
    uint32_t fence = atomic_load_explicit(&of->fence, memory_order_relaxed);
    if (fence == FENCE_SHUT || (fence == FENCE_OPEN && is_live(row, number + 1)))
        return true;
    bool done = shut(start_of(row, number) + row->size, row->stride - row->size);
    if (done)
        atomic_store_explicit(&of->fence, FENCE_SHUT, memory_order_relaxed);
    return done;
}

/* How many may have been made by now before one is used again. */
static bool may_make(void)
{
    uint32_t made = atomic_load_explicit(&pool.made, memory_order_relaxed);
    return made < settings.few ||
           made - settings.few < (mm_os_milliseconds() - pool.made_at) / MADE_A_MS;
}

static unsigned make_slot(struct row *row)
{
    uint32_t made = atomic_load_explicit(&row->made, memory_order_relaxed);
    while (made < row->count) {
        if (atomic_compare_exchange_weak_explicit(&row->made, &made, made + 1, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            atomic_fetch_add_explicit(&pool.made, 1, memory_order_relaxed);
            return row->first + made;
        }
    }
    return MM_GUARDED_SLOTS;
}

static unsigned take_number(struct row *row, bool may_reuse)
{
    unsigned number = may_make() ? make_slot(row) : MM_GUARDED_SLOTS;
    if (number == MM_GUARDED_SLOTS && may_reuse)
        number = pop(row);
    if (number == MM_GUARDED_SLOTS && may_reuse)
        number = make_slot(row);
    return number;
}

/* False: somebody who touched it after its free is about to open it. */
static bool begin_opening(struct slot *of)
{
    uint32_t opened = atomic_load_explicit(&of->opened, memory_order_relaxed);
    return opened != OPENING &&
           atomic_compare_exchange_strong_explicit(&of->opened, &opened, OPENING,
                                                   memory_order_acquire, memory_order_relaxed);
}

static void end_opening(struct slot *of, enum opened opened)
{
    atomic_store_explicit(&of->opened, opened, memory_order_release);
}

static bool take_in(struct row *row, bool may_reuse, struct mm_guarded_slot *slot)
{
    unsigned number = row->count != 0 ? take_number(row, may_reuse) : MM_GUARDED_SLOTS;
    if (number == MM_GUARDED_SLOTS)
        return false;
    struct slot *of = &pool.slots[number];
    describe(row, number, slot);
    if (begin_opening(of)) {
        if (shut_fence(row, number) && open(slot->start, row->size)) {
            atomic_store_explicit(&of->state, MM_GUARDED_TAKEN, memory_order_relaxed);
            return true;
        }
        end_opening(of, SHUT);
    }
    atomic_store_explicit(&of->state, MM_GUARDED_FREED, memory_order_relaxed);
    push(row, number);
    return false;
}

bool mm_guarded_take(size_t size, size_t alignment, bool may_reuse, struct mm_guarded_slot *slot)
{
    if (size > MM_GUARDED_MOST || alignment > mm_os_page_size() || !is_made() ||
        atomic_load_explicit(&is_given_up, memory_order_relaxed))
        return false;
    for (unsigned i = 0; i < ROWS; i++) {
        if (size <= pool.rows[i].size && take_in(&pool.rows[i], may_reuse, slot))
            return true;
    }
    return false;
}

void mm_guarded_place(struct mm_guarded_slot *slot, size_t asked, size_t alignment, bool at_start)
{
    struct slot *of = &pool.slots[slot->number];
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
    struct slot *of = &pool.slots[slot->number];
    atomic_store_explicit(&of->state, MM_GUARDED_LIVE, memory_order_release);
    end_opening(of, OPEN);
}

bool mm_guarded_strike(const struct mm_guarded_slot *slot)
{
    uint32_t live = MM_GUARDED_LIVE;
    return atomic_compare_exchange_strong_explicit(&pool.slots[slot->number].state, &live,
                                                   MM_GUARDED_FREED, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/* What the system does not close stays open: nothing is found there, and nothing harmed. */
void mm_guarded_close(const struct mm_guarded_slot *slot)
{
    struct slot *of = &pool.slots[slot->number];
    if (pool.aside != NULL)
        put_aside(of, slot->block);
    atomic_store_explicit(&of->opened, SHUT, memory_order_release);
    shut(slot->start, slot->end - slot->start);
    push(row_of(slot->number), slot->number);
}

/* --- opened after a fault --- */

static bool open_fence(const struct mm_guarded_slot *below, uintptr_t address)
{
    size_t page = mm_os_page_size();
    if (!open(address & ~(uintptr_t)(page - 1), page))
        return false;
    if (below->number != MM_GUARDED_SLOTS)
        atomic_store_explicit(&pool.slots[below->number].fence, FENCE_OPEN, memory_order_relaxed);
    return true;
}

/* Of several threads that fault there at once one opens it, and the others come back when it is; or
 * open it as well, where that one was left behind. */
static bool open_slot(const struct mm_guarded_slot *slot)
{
    struct slot *of = &pool.slots[slot->number];
    size_t size = slot->end - slot->start;
    uint32_t opened = SHUT;
    if (slot->state == MM_GUARDED_UNUSED)
        return open(slot->start, size);
    if (atomic_compare_exchange_strong_explicit(&of->opened, &opened, OPENING, memory_order_acquire,
                                                memory_order_acquire)) {
        bool done = pool.aside != NULL ? put_back(slot, of) : open(slot->start, size);
        end_opening(of, done ? OPEN : SHUT);
        return done;
    }
    for (unsigned round = 0; round < ROUNDS && opened == OPENING; round++) {
        mm_os_wait(round);
        opened = atomic_load_explicit(&of->opened, memory_order_acquire);
    }
    return opened == OPEN || open(slot->start, size);
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
    if (size != 0 && !atomic_exchange(&is_given_up, true))
        open(mm_guarded.base, size);
}

/* --- all of them --- */

void mm_guarded_after_fork(void)
{
    for (unsigned number = 0; number < pool.count; number++) {
        struct slot *of = &pool.slots[number];
        const struct row *row = row_of(number);
        if (atomic_load_explicit(&of->opened, memory_order_relaxed) != OPENING)
            continue;
        atomic_store_explicit(&of->state, MM_GUARDED_UNUSED, memory_order_relaxed);
        open(start_of(row, number), row->size);
        end_opening(of, OPEN);
    }
}

void mm_guarded_each(void (*each)(const struct mm_guarded_slot *slot, void *with), void *with)
{
    if (atomic_load_explicit(&mm_guarded.size, memory_order_acquire) == 0)
        return;
    for (unsigned i = 0; i < ROWS; i++) {
        const struct row *row = &pool.rows[i];
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
