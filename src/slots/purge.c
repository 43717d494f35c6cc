/* purge.c - memory of chunks that no heap has goes back to the system: what nobody took for two
 * rounds of a clock, what is more than anybody may soon want, and all of it when asked to.
 *
 * In pieces of one group, at most 4 MiB: the kernel's own lock is waited for, too. A piece is taken
 * out of the pool under mm_arena_lock, given back with no lock held, and put into the pool again.
 * Whatever happens in between, a signal handler that allocates, forks or exits among it, finds the
 * pool whole, without these chunks. Each thread has at most one piece; in a fork()'s child those of
 * threads that are not there come back. */
#include "slots/arena.h"
#include "slots/pool.h"
#include "slots/watcher.h"

#define DIRTY_SLACK    ((size_t)4 << 20) /* see mm_arena_keep_within_most() */
#define GROUPS_A_LOOK  1024u             /* under the lock, by the clock or for a piece */
#define GROUPS_TO_PICK 256u              /* among which a piece is looked for */
#define GOOD_PIECE     32u               /* chunks: need not look any further */
#define ALLOWED_LEAST  16u               /* chunks: 1 MiB */
#define ALLOWED_PART   128u              /* of the most that the program ever held */

struct piece {
    uint64_t run; /* 0: none */
    uint64_t purged, refused;
    uint32_t group;
    bool is_done; /* it only has to be put back */
};
static _Thread_local struct piece own_piece __attribute__((tls_model("initial-exec")));

static size_t dirty_chunks(void)
{
    return mm_pool_get(&mm_pool.dirty_chunks);
}

/* Those that the system might take back. */
static size_t willing_chunks(void)
{
    size_t refused = mm_pool_get(&mm_pool.refused_chunks), dirty = dirty_chunks();
    return dirty > refused ? dirty - refused : 0;
}

static bool has_dirty(size_t group)
{
    return mm_pool_bits(mm_pool.dirty, group) != 0;
}

/* Who locked all memory (mlockall) is refused each time. */
static bool may_ask(void)
{
    return mm_patience_may_ask(&mm_pool.patience);
}

static bool ask(void *start, size_t size)
{
    return mm_patience_note(&mm_pool.patience, mm_os_purge(start, size));
}

bool mm_arena_purge_pages(void *start, size_t size)
{
    return may_ask() && ask(start, size);
}

/* --- pieces --- */

/* Under the lock. */
static void take_piece(size_t group, uint64_t run)
{
    if (run == 0)
        return;
    MM_ASSERT(own_piece.run == 0);
    own_piece = (struct piece){.group = (uint32_t)group, .run = run};
    mm_pool_remove(group, run);
    mm_pool_set_bits(mm_pool.purging, group, run);
}

/* False, and to be done another time, when a fork() does not come to its end. */
static bool put_piece(void)
{
    if (!mm_lock_for_request(&mm_arena_lock))
        return false;
    struct piece piece = own_piece;
    MM_ASSERT((mm_pool_bits(mm_pool.purging, piece.group) & piece.run) == piece.run);
    MM_ASSERT(((piece.purged | piece.refused) & ~piece.run) == 0 &&
              (piece.purged & piece.refused) == 0);
    mm_pool_clear_bits(mm_pool.purging, piece.group, piece.run);
    mm_pool_put(piece.group, piece.run, piece.run & ~piece.purged);
    mm_pool_set_bits(mm_pool.refused, piece.group, piece.refused);
    if (piece.refused != 0) {
        mm_pool_add(&mm_pool.refused_chunks, mm_bit_count(piece.refused));
        mm_pool_allow();
    }
    own_piece = (struct piece){.run = 0};
    mm_unlock(&mm_arena_lock);
    return true;
}

/* Whether this thread may give memory back now: not inside of fork(), where it holds all locks, and
 * not in a handler that interrupted it there. */
static bool is_free_to_purge(void)
{
    return !mm_locks_are_passed() && (own_piece.run == 0 || (own_piece.is_done && put_piece()));
}

/* One call for each row of neighbours, with no lock held, unless it is `persistent` up to the first
 * that is refused; chunks. */
static size_t purge_piece(bool persistent)
{
    uint64_t purged = 0, refused = 0;
    if (own_piece.run == 0)
        return 0;
    for (uint64_t run = own_piece.run; run != 0 && (refused == 0 || persistent);) {
        uint64_t row = mm_bits_row(run);
        size_t chunk = own_piece.group * MM_WORD_BITS + mm_bit_lowest(row);
        void *at = (void *)(mm_arena.base + (chunk << MM_CHUNK_SHIFT));
        size_t size = (size_t)mm_bit_count(row) << MM_CHUNK_SHIFT;
        bool granted = ask(at, size);
        if (granted && mm_watcher != NULL)
            mm_watcher->given_back((uintptr_t)at, size);
        purged |= granted ? row : 0;
        refused |= granted ? 0 : row;
        run &= ~row;
    }
    own_piece.purged = purged;
    own_piece.refused = refused;
    own_piece.is_done = true;
    put_piece();
    return mm_bit_count(purged);
}

/* Chunks of a group that are dirty; `again`: those that the system refused before, too. */
static uint64_t dirty_of(size_t group, bool again)
{
    return mm_pool_bits(mm_pool.dirty, group) &
           (again ? UINT64_MAX : ~mm_pool_bits(mm_pool.refused, group));
}

/* --- down to a number of chunks --- */

/* A request does not wait for a fork() for ever; who trims is none. */
static bool lock_arena(bool trims)
{
    return trims ? mm_lock_unless_held(&mm_arena_lock) : mm_lock_for_request(&mm_arena_lock);
}

/* From the end, which is used again last, group by group until so many chunks are left. */
static size_t purge_down_to(size_t chunks, bool again)
{
    size_t purged = 0;
    for (size_t group = mm_pool_groups(); group-- > 0 && dirty_chunks() > chunks;) {
        if (!has_dirty(group))
            continue;
        if (!is_free_to_purge() || !(again || may_ask()) || !lock_arena(again))
            break;
        take_piece(group, dirty_of(group, again));
        mm_unlock(&mm_arena_lock);
        purged += purge_piece(again);
    }
    return purged << MM_CHUNK_SHIFT;
}

void mm_arena_keep_within_most(size_t others)
{
    atomic_store_explicit(&mm_pool.others, others, memory_order_relaxed);
    if (willing_chunks() == 0 || !mm_lock_for_request(&mm_arena_lock))
        return;
    size_t held = mm_pool_held();
    size_t headroom = mm_pool_get(&mm_pool.most) - held;
    mm_unlock(&mm_arena_lock);
    if (dirty_chunks() << MM_CHUNK_SHIFT > headroom + DIRTY_SLACK)
        purge_down_to(headroom >> MM_CHUNK_SHIFT, false);
}

size_t mm_arena_trim(void)
{
    return mm_arena_size() != 0 ? purge_down_to(0, true) : 0;
}

/* --- at once --- */

/* Nobody need ever come again, when a program frees all it has and then sleeps: so what is more
 * than a small part goes back at once. One that goes up and down is not to pay for its pages each
 * time: what went back in this way and is wanted again soon is learned to be kept, until the clock
 * finds that much unused. */
void mm_pool_allow(void)
{
    size_t part = mm_pool_get(&mm_pool.most) / ALLOWED_PART >> MM_CHUNK_SHIFT;
    part = part > ALLOWED_LEAST ? part : ALLOWED_LEAST;
    atomic_store_explicit(&mm_pool.allowed,
                          part + mm_pool.learned + mm_pool_get(&mm_pool.refused_chunks),
                          memory_order_relaxed);
}

static bool is_excess(void)
{
    return dirty_chunks() > mm_pool_get(&mm_pool.allowed);
}

/* Under the lock: of some groups, downwards from where this stopped the last time, the one that has
 * most; so that calls are few. */
static size_t pick_group(void)
{
    size_t groups = mm_pool_groups(), at = mm_pool.picked, best = 0;
    unsigned most = 0, since = 0;
    for (unsigned looked_at = 0; looked_at < GROUPS_A_LOOK && since < GROUPS_TO_PICK; looked_at++) {
        at = at != 0 && at <= groups ? at - 1 : groups - 1;
        unsigned count = mm_bit_count(dirty_of(at, false));
        if (count > most) {
            most = count;
            best = at;
        }
        if (most >= GOOD_PIECE)
            break;
        since += most != 0;
    }
    mm_pool.picked = at;
    return best;
}

void mm_arena_shed(void)
{
    if (mm_likely(!is_excess()) || !is_free_to_purge() || !mm_lock_for_request(&mm_arena_lock))
        return;
    if (is_excess()) {
        size_t group = pick_group();
        take_piece(group, dirty_of(group, false));
        mm_pool.early += mm_bit_count(own_piece.run);
    }
    mm_unlock(&mm_arena_lock);
    purge_piece(false);
}

/* --- by the clock --- */

static void begin_round(uint64_t now)
{
    mm_pool.round_started = now;
    mm_pool.early /= 2;
}

/* Comes by at some more groups: what was dirty there the last time goes back, but of one group
 * only; what is dirty now is old the next time. */
static void look(uint64_t now)
{
    size_t end = mm_pool_groups();
    if (mm_pool.cursor == 0)
        begin_round(now);
    size_t stop = end - mm_pool.cursor > GROUPS_A_LOOK ? mm_pool.cursor + GROUPS_A_LOOK : end;
    for (; mm_pool.cursor < stop; mm_pool.cursor++) {
        size_t group = mm_pool.cursor;
        uint64_t due = mm_pool_bits(mm_pool.old, group) & ~mm_pool_bits(mm_pool.refused, group);
        if (due != 0) {
            if (own_piece.run != 0)
                break;
            take_piece(group, due);
        }
        atomic_store_explicit(&mm_pool.old[group], mm_pool_bits(mm_pool.dirty, group),
                              memory_order_relaxed);
    }
    bool is_complete = mm_pool.cursor == end;
    if (is_complete)
        mm_pool.cursor = 0;
    atomic_store_explicit(&mm_pool.next_look,
                          is_complete ? mm_pool.round_started + MM_PURGE_TICK_MS : now + 1,
                          memory_order_relaxed);
}

/* What lay idle was more than enough to keep. */
static void unlearn(size_t chunks)
{
    mm_pool.learned -= chunks < mm_pool.learned ? chunks : mm_pool.learned;
    mm_pool_allow();
}

MM_COLD static void come_by(uint64_t now)
{
    if (dirty_chunks() == 0) {
        atomic_store_explicit(&mm_pool.next_look, now + MM_PURGE_TICK_MS, memory_order_relaxed);
        return;
    }
    if (!is_free_to_purge() || !may_ask() || !mm_lock_for_request(&mm_arena_lock))
        return;
    if (mm_arena_size() != 0 &&
        now >= atomic_load_explicit(&mm_pool.next_look, memory_order_relaxed)) {
        look(now);
        unlearn(mm_bit_count(own_piece.run));
    }
    mm_unlock(&mm_arena_lock);
    purge_piece(false);
}

uint64_t mm_arena_tick(void)
{
    uint64_t now = mm_os_milliseconds();
    if (mm_unlikely(now >= atomic_load_explicit(&mm_pool.next_look, memory_order_relaxed)))
        come_by(now);
    return now;
}

uint64_t mm_arena_last_tick(void)
{
    return atomic_load_explicit(&mm_pool.next_look, memory_order_relaxed);
}

/* --- fork() --- */

/* What other threads were giving back may be there or not; who forks may have interrupted its own
 * step, and will finish it. */
void mm_arena_after_fork(void)
{
    size_t groups = mm_arena_size() != 0 ? mm_pool_groups() : 0;
    for (size_t group = 0; group < groups; group++) {
        uint64_t lost = mm_pool_bits(mm_pool.purging, group);
        if (own_piece.run != 0 && own_piece.group == group)
            lost &= ~own_piece.run;
        if (lost == 0)
            continue;
        mm_pool_clear_bits(mm_pool.purging, group, lost);
        mm_pool_put(group, lost, lost);
    }
}
