/* record.c - see record.h. The tables, in pieces (pieces.h), so that address space, and what is
 * locked of a process that calls mlockall(), grows with what is traced:
 *
 *   traced    by 4 MiB of the arena: for each unit the word of the batch that starts there
 *   held      by line: a word for the batch that it describes
 *   slots     by size of slots, up to a factor of two, and 4 MiB of the arena: slot i of a batch
 * has the i-th record from the batch's place on, so that batches side by side fill pages blocks by
 * hash of the address: forwarded blocks
 *
 * A batch's records never reach those of the next one, as the records of its table are for slots no
 * larger than its own; and a batch lies in one group of 4 MiB. */
#include "blocks/record.h"

#include "slots/arena.h"
#include "slots/guarded.h"
#include "system/os.h"
#include "system/pieces.h"

#define GROUP_SHIFT 22u
#define GROUP_UNITS (1u << (GROUP_SHIFT - MM_UNIT_SHIFT))
#define LEAST_SHIFT 4u  /* of a slot's size: tables go from that of 16 bytes */
#define MOST_SHIFT  10u /* to that of 1 KiB, which serves larger ones, too */
#define TABLES      (MOST_SHIFT - LEAST_SHIFT + 1)
_Static_assert(1u << LEAST_SHIFT == MM_GRANULE, "no slot is smaller");
_Static_assert(MM_UNIT_SHIFT + MM_SPAN_ORDER_MAX <= GROUP_SHIFT, "a batch lies in one group");

#define BLOCK_BITS  20u
#define BLOCK_SHIFT 14u /* of a piece */
#define PROBES      32u /* places that a forwarded block may have */

#define HELD_SHIFT 13u /* of the words in a piece */
#define LINES_BITS (32u - 6)
_Static_assert(MM_LINE_SIZE == 1u << 6, "LINES_BITS: lines go by their offset in 32 bits");

/* A place has one owner at a time, by its address alone: who owns the block that is there, until
 * DEAD is set, and then who changes it first. So of one address there are never two. */
struct block {
    _Atomic uintptr_t address; /* 0: a free place */
    struct mm_record record;
};
#define DEAD ((uintptr_t)1) /* in the address, which is of a whole granule */

static struct {
    mm_piece *traced;        /* by group; NULL: nothing is kept */
    mm_piece *slots[TABLES]; /* the same; behind them in memory */
    size_t groups;
} tables;
static mm_piece held[1u << (LINES_BITS - HELD_SHIFT)] MM_SELDOM;
static mm_piece blocks[1u << (BLOCK_BITS - BLOCK_SHIFT)] MM_SELDOM;
/* Blocks are spread over all of a piece. So that who goes through them touches only what was ever
 * in use, parts of about a page have a bit each, set before the first place of a part is taken. */
#define PART_SHIFT 6u /* of places */
#define PARTS      (1u << (BLOCK_SHIFT - PART_SHIFT))
static _Atomic uint64_t used[1u << (BLOCK_BITS - BLOCK_SHIFT)][PARTS / MM_WORD_BITS] MM_SELDOM;
static mm_piece guarded; /* by number of the slot */

#define TRACED_PIECE  (sizeof(_Atomic uint64_t) * GROUP_UNITS)
#define HELD_PIECE    (sizeof(_Atomic uint64_t) << HELD_SHIFT)
#define BLOCK_PIECE   (sizeof(struct block) << BLOCK_SHIFT)
#define GUARDED_PIECE (sizeof(struct mm_record) * MM_GUARDED_SLOTS)

static size_t records_of_table(unsigned table)
{
    return (size_t)1 << (GROUP_SHIFT - LEAST_SHIFT - table);
}

static size_t size_of_table(unsigned table)
{
    return sizeof(struct mm_record) * records_of_table(table);
}

static size_t size_of_places(void)
{
    return (1 + TABLES) * tables.groups * sizeof *tables.traced;
}

bool mm_records_start(void)
{
    tables.groups = (mm_arena_size() >> GROUP_SHIFT) + 1;
    tables.traced = mm_piece_map(size_of_places());
    for (unsigned i = 0; i < TABLES && tables.traced != NULL; i++)
        tables.slots[i] = tables.traced + (1 + i) * tables.groups;
    return tables.traced != NULL;
}

void mm_records_stop(void)
{
    mm_piece_release_all(blocks, sizeof blocks / sizeof blocks[0], BLOCK_PIECE);
    mm_piece_release_all(held, sizeof held / sizeof held[0], HELD_PIECE);
    mm_piece_release_all(&guarded, 1, GUARDED_PIECE);
    if (tables.traced == NULL)
        return;
    mm_piece_release_all(tables.traced, tables.groups, TRACED_PIECE);
    for (unsigned i = 0; i < TABLES; i++)
        mm_piece_release_all(tables.slots[i], tables.groups, size_of_table(i));
    mm_os_release(tables.traced, size_of_places());
    tables.traced = NULL;
}

/* --- slots --- */

static size_t group_of(uintptr_t base)
{
    return (base - mm_arena.base) >> GROUP_SHIFT;
}

static size_t offset_of(uintptr_t base)
{
    return (base - mm_arena.base) % ((size_t)1 << GROUP_SHIFT);
}

static _Atomic uint64_t *traced_in(_Atomic uint64_t *words, uintptr_t base)
{
    return words != NULL ? &words[offset_of(base) >> MM_UNIT_SHIFT] : NULL;
}

_Atomic uint64_t *mm_records_traced_word(uintptr_t base)
{
    return traced_in(mm_piece_at(&tables.traced[group_of(base)]), base);
}

_Atomic uint64_t *mm_records_need_traced_word(uintptr_t base)
{
    return traced_in(mm_piece_need(&tables.traced[group_of(base)], TRACED_PIECE), base);
}

static mm_piece *held_piece(uint32_t line)
{
    return &held[line / MM_LINE_SIZE >> HELD_SHIFT];
}

static _Atomic uint64_t *held_in(_Atomic uint64_t *words, uint32_t line)
{
    return words != NULL ? &words[line / MM_LINE_SIZE % (1u << HELD_SHIFT)] : NULL;
}

_Atomic uint64_t *mm_records_held_word(uint32_t line)
{
    return held_in(mm_piece_at(held_piece(line)), line);
}

_Atomic uint64_t *mm_records_need_held_word(uint32_t line)
{
    return held_in(mm_piece_need(held_piece(line), HELD_PIECE), line);
}

static unsigned table_of(size_t size)
{
    unsigned shift = mm_log2_floor(size);
    return (shift < MOST_SHIFT ? shift : MOST_SHIFT) - LEAST_SHIFT;
}

static struct mm_record *record_in(struct mm_record *records, unsigned table, uintptr_t base,
                                   unsigned index)
{
    size_t number = (offset_of(base) >> (LEAST_SHIFT + table)) + index;
    MM_ASSERT(number < records_of_table(table));
    return records != NULL ? &records[number] : NULL;
}

static inline struct mm_record *slot_at(uintptr_t base, size_t size, unsigned index)
{
    unsigned table = table_of(size);
    return record_in(mm_piece_at(&tables.slots[table][group_of(base)]), table, base, index);
}

struct mm_record *mm_records_slot(uintptr_t base, size_t size, unsigned index)
{
    return slot_at(base, size, index);
}

mm_shape mm_records_glance(uint32_t line, uintptr_t base, size_t size, unsigned index)
{
    _Atomic uint64_t *word = held_in(mm_piece_at(held_piece(line)), line);
    if (word != NULL && (atomic_load_explicit(word, memory_order_acquire) >> index & 1))
        return MM_SHAPE_HELD;
    word = traced_in(mm_piece_at(&tables.traced[group_of(base)]), base);
    if (mm_unlikely(word == NULL) ||
        !(atomic_load_explicit(word, memory_order_relaxed) >> index & 1))
        return 0;
    return mm_record_shape(slot_at(base, size, index)) & ~MM_SHAPE_HELD;
}

struct mm_kept mm_records_kept(uintptr_t base, size_t size, unsigned index)
{
    return (struct mm_kept){mm_records_traced_word(base), slot_at(base, size, index)};
}

struct mm_kept mm_records_need_kept(uintptr_t base, size_t size, unsigned index)
{
    unsigned table = table_of(size);
    mm_piece *place = &tables.slots[table][group_of(base)];
    void *records = mm_piece_need(place, size_of_table(table));
    return (struct mm_kept){mm_records_need_traced_word(base),
                            record_in(records, table, base, index)};
}

/* Whole pages of records; those of the chunks beside have a part of the first and the last. */
static void give_back(struct mm_record *records, unsigned table, uintptr_t start, size_t size)
{
    uintptr_t mask = mm_os_page_size() - 1;
    uintptr_t first = (uintptr_t)(records + (offset_of(start) >> (LEAST_SHIFT + table)));
    uintptr_t end = (first + (size >> (LEAST_SHIFT + table)) * sizeof *records) & ~mask;
    first = (first + mask) & ~mask;
    if (first < end)
        mm_os_purge((void *)first, end - first); /* NOLINT(performance-no-int-to-ptr) */
}

void mm_records_give_back(uintptr_t start, size_t size)
{
    for (unsigned table = 0; table < TABLES; table++) {
        struct mm_record *records = mm_piece_at(&tables.slots[table][group_of(start)]);
        if (records != NULL)
            give_back(records, table, start, size);
    }
}

/* --- blocks in guarded slots --- */

static struct mm_record *guarded_in(struct mm_record *records, unsigned number)
{
    return records != NULL ? &records[number] : NULL;
}

struct mm_record *mm_records_guarded(unsigned number)
{
    return guarded_in(mm_piece_at(&guarded), number);
}

struct mm_record *mm_records_need_guarded(unsigned number)
{
    return guarded_in(mm_piece_need(&guarded, GUARDED_PIECE), number);
}

struct mm_record *mm_records_of_guarded(uintptr_t address)
{
    struct mm_guarded_slot slot, above;
    mm_guarded_find(address, &slot, &above);
    return slot.number != MM_GUARDED_SLOTS ? mm_records_guarded(slot.number) : NULL;
}

/* --- forwarded blocks --- */

/* The piece that has the places that a block may have. */
static unsigned piece_of(uintptr_t address)
{
    return mm_bits_mixed(address >> 4) % (1u << BLOCK_BITS) >> BLOCK_SHIFT;
}

static struct block *place_of(struct block *places, uintptr_t address, unsigned number)
{
    return &places[(mm_bits_mixed(address >> 4) + number) % (1u << BLOCK_SHIFT)];
}

static void note_use(unsigned piece, size_t place)
{
    size_t part = place >> PART_SHIFT;
    uint64_t bit = (uint64_t)1 << part % MM_WORD_BITS;
    _Atomic uint64_t *word = &used[piece][part / MM_WORD_BITS];
    if (!(atomic_load_explicit(word, memory_order_relaxed) & bit))
        atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
}

static uintptr_t address_of(const struct block *block)
{
    return atomic_load_explicit(&block->address, memory_order_acquire);
}

/* With its address as it was found. */
static struct block *find(uintptr_t address, uintptr_t *found)
{
    struct block *places = mm_piece_at(&blocks[piece_of(address)]);
    for (unsigned i = 0; i < PROBES && places != NULL; i++) {
        struct block *block = place_of(places, address, i);
        *found = address_of(block);
        if (*found == 0)
            return NULL;
        if ((*found & ~DEAD) == address)
            return block;
    }
    return NULL;
}

struct mm_record *mm_records_forwarded(uintptr_t address)
{
    uintptr_t found;
    struct block *block = find(address, &found);
    return block != NULL ? &block->record : NULL;
}

struct mm_record *mm_records_own_forwarded(uintptr_t address)
{
    uintptr_t found;
    struct block *block = find(address, &found);
    return block != NULL && !(found & DEAD) ? &block->record : NULL;
}

static bool take(struct block *block, uintptr_t found, uintptr_t address)
{
    return atomic_compare_exchange_strong_explicit(&block->address, &found, address,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

struct mm_record *mm_records_own_outside(uintptr_t start)
{
    return mm_guarded_has(start) ? mm_records_of_guarded(start) : mm_records_own_forwarded(start);
}

struct mm_record *mm_records_again_forwarded(uintptr_t address)
{
    uintptr_t found;
    struct block *block = find(address, &found);
    if (block == NULL || ((found & DEAD) && !take(block, found, address)))
        return NULL;
    return &block->record;
}

struct mm_record *mm_records_need_forwarded(uintptr_t address)
{
    MM_ASSERT(!(address & DEAD));
    struct mm_record *record = mm_records_again_forwarded(address);
    unsigned piece = piece_of(address);
    struct block *places = mm_piece_need(&blocks[piece], BLOCK_PIECE);
    for (unsigned i = 0; i < PROBES && places != NULL && record == NULL; i++) {
        struct block *block = place_of(places, address, i);
        uintptr_t found = address_of(block);
        if (found == 0)
            note_use(piece, (size_t)(block - places));
        if ((found == 0 || (found & DEAD)) && take(block, found, address))
            record = &block->record;
    }
    return record;
}

static const struct block *block_of(const struct mm_record *record)
{
    return (const struct block *)((const char *)record - offsetof(struct block, record));
}

uintptr_t mm_records_address(const struct mm_record *record)
{
    return address_of(block_of(record)) & ~DEAD;
}

void mm_records_let_forwarded_go(struct mm_record *record)
{
    struct block *block = (struct block *)block_of(record);
    atomic_store_explicit(&block->address, address_of(block) | DEAD, memory_order_release);
}

static void each_of_part(struct block *part,
                         void (*each)(uintptr_t address, struct mm_record *record, void *with),
                         void *with)
{
    for (size_t i = 0; i < (size_t)1 << PART_SHIFT; i++) {
        uintptr_t address = address_of(&part[i]) & ~DEAD;
        if (address != 0)
            each(address, &part[i].record, with);
    }
}

void mm_records_each_forwarded(void (*each)(uintptr_t address, struct mm_record *record,
                                            void *with),
                               void *with)
{
    for (unsigned piece = 0; piece < sizeof blocks / sizeof blocks[0]; piece++) {
        struct block *places = mm_piece_at(&blocks[piece]);
        for (size_t part = 0; part < PARTS && places != NULL; part++) {
            uint64_t word =
                atomic_load_explicit(&used[piece][part / MM_WORD_BITS], memory_order_relaxed);
            if (word >> part % MM_WORD_BITS & 1)
                each_of_part(&places[part << PART_SHIFT], each, with);
        }
    }
}
