/* quarantine.c - see quarantine.h. `tail` and `head` only grow; a cell's number is theirs modulo
 * the size of the ring, its lap the rest. */
#include "checks/quarantine.h"

#include "system/bitmap.h"
#include "system/os.h"
#include "system/pieces.h"
#include <stdatomic.h>

#define BYTES_A_CELL 128u
#define LEAST_BITS   10u
#define SLACK        256u /* cells that threads at work may be about to fill */
#define LAP_BITS     16u  /* above an address */

static struct {
    _Alignas(64) _Atomic uint64_t tail; /* the next to be filled */
    _Atomic uint64_t *cells;            /* NULL: nothing is held */
    size_t limit;
    _Atomic uint64_t given_up;          /* cells below it that are empty stay so */
    unsigned bits;                      /* 2^bits cells */
    _Alignas(64) _Atomic uint64_t head; /* the next to be taken */
    _Alignas(64) _Atomic int64_t bytes;
} ring MM_SELDOM;

static uint64_t cells(void)
{
    return (uint64_t)1 << ring.bits;
}

bool mm_quarantine_start(size_t limit)
{
    unsigned bits = mm_log2_ceil(limit / BYTES_A_CELL + 1);
    ring.bits = bits > LEAST_BITS ? bits : LEAST_BITS;
    ring.limit = limit;
    ring.cells = mm_piece_map(sizeof *ring.cells << ring.bits);
    return ring.cells != NULL;
}

void mm_quarantine_stop(void)
{
    if (ring.cells != NULL)
        mm_os_release(ring.cells, sizeof *ring.cells << ring.bits);
    ring.cells = NULL;
    atomic_store(&ring.tail, 0);
    atomic_store(&ring.head, 0);
    atomic_store(&ring.given_up, 0);
    atomic_store(&ring.bytes, 0);
}

/* Laps begin with 1, so that no filled cell is 0. */
static uint64_t lap_of(uint64_t place)
{
    return ((place >> ring.bits) + 1) % (1u << LAP_BITS);
}

static bool is_full(void)
{
    uint64_t head = atomic_load_explicit(&ring.head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&ring.tail, memory_order_relaxed);
    return tail - head >= cells() - SLACK && tail > head;
}

/* Where the oldest is not let go, as who noted it never came back. */
static bool is_beyond_all(void)
{
    return atomic_load_explicit(&ring.bytes, memory_order_relaxed) / 2 > (int64_t)ring.limit;
}

/* Release pairs with the acquire of mm_quarantine_at(): what was noted of the block is there. */
bool mm_quarantine_push(uintptr_t address, size_t bytes)
{
    if (is_full() || is_beyond_all() || address >> (64 - LAP_BITS) != 0)
        return false;
    uint64_t place = atomic_fetch_add_explicit(&ring.tail, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&ring.bytes, (int64_t)bytes, memory_order_relaxed);
    atomic_store_explicit(&ring.cells[place % cells()],
                          (uint64_t)address << LAP_BITS | lap_of(place), memory_order_release);
    return true;
}

uintptr_t mm_quarantine_at(uint64_t place)
{
    uint64_t cell = atomic_load_explicit(&ring.cells[place % cells()], memory_order_acquire);
    return cell % (1u << LAP_BITS) == lap_of(place) ? cell >> LAP_BITS : 0;
}

static bool is_wanted(uint64_t head, bool all)
{
    uint64_t tail = atomic_load_explicit(&ring.tail, memory_order_relaxed);
    int64_t bytes = atomic_load_explicit(&ring.bytes, memory_order_relaxed);
    if (head >= tail)
        return false;
    return all || bytes > (int64_t)ring.limit || tail - head >= cells() - 2 * SLACK;
}

uintptr_t mm_quarantine_pop(bool all)
{
    uint64_t head = atomic_load_explicit(&ring.head, memory_order_relaxed);
    while (ring.cells != NULL && is_wanted(head, all)) {
        uintptr_t there = mm_quarantine_at(head);
        if (there == 0 && head >= atomic_load_explicit(&ring.given_up, memory_order_relaxed))
            return 0;
        if (atomic_compare_exchange_weak_explicit(&ring.head, &head, head + 1, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
            if (there != 0)
                return there;
            head++;
        }
    }
    return 0;
}

void mm_quarantine_took(size_t bytes)
{
    atomic_fetch_sub_explicit(&ring.bytes, (int64_t)bytes, memory_order_relaxed);
}

uintptr_t mm_quarantine_ahead(unsigned further)
{
    return mm_quarantine_at(atomic_load_explicit(&ring.head, memory_order_relaxed) + further);
}

void mm_quarantine_span(uint64_t *from, uint64_t *end)
{
    *from = atomic_load_explicit(&ring.head, memory_order_relaxed);
    *end = ring.cells != NULL ? atomic_load_explicit(&ring.tail, memory_order_relaxed) : *from;
}

bool mm_quarantine_has(uint64_t place)
{
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&ring.head, memory_order_relaxed) <= place;
}

uint64_t mm_quarantine_own(void)
{
    return atomic_load_explicit(&ring.given_up, memory_order_relaxed);
}

void mm_quarantine_after_fork(void)
{
    atomic_store_explicit(&ring.given_up, atomic_load(&ring.tail), memory_order_relaxed);
}
