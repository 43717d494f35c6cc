/* snapshot.c - copies what heaps and batches say at this moment, and writes it.
 *
 * Owns nothing. Takes no lock: the words of a batch are read one by one while its owner goes on, so
 * that what is shown of one batch was true at some moment, and of several not at the same one. */
#include "view/snapshot.h"

#include "checks/checks.h"
#include "forwarded/registry.h"
#include "slots/guarded.h"
#include "slots/heap.h"
#include "system/os.h"
#include <stdint.h>

/* A batch as it was when the snapshot was taken. */
struct row {
    const struct mm_heap *heap;
    uintptr_t base;
    uint64_t live;
    uint32_t heap_number, size, slots;
};

struct copy {
    struct row *rows;
    size_t count, capacity; /* rows */
    size_t bytes;           /* reserved for them */
    struct mm_arena_usage usage;
};

static uint64_t live_of(const struct mm_batch *batch)
{
    return mm_checks_live(batch) & ~atomic_load_explicit(&batch->remote, memory_order_relaxed);
}

static size_t units_in_use(void)
{
    return mm_arena_usage().chunks * MM_UNITS_A_CHUNK;
}

static size_t count_batches(void)
{
    size_t unit = 0, count = 0;
    for (size_t end = units_in_use(); mm_batch_walk(&unit, end) != NULL;)
        count++;
    return count;
}

static bool is_before(const struct row *a, const struct row *b)
{
    if (a->heap_number != b->heap_number)
        return a->heap_number < b->heap_number;
    return a->size != b->size ? a->size < b->size : a->base < b->base;
}

static void swap(struct row *a, struct row *b)
{
    struct row kept = *a;
    *a = *b;
    *b = kept;
}

/* No row is before one at twice its place or at the next: brings the one at `at` to where this
 * holds again. */
static void sift_down(struct row *rows, size_t count, size_t at)
{
    for (size_t below; (below = 2 * at + 1) < count; at = below) {
        below += below + 1 < count && is_before(&rows[below], &rows[below + 1]);
        if (!is_before(&rows[at], &rows[below]))
            return;
        swap(&rows[at], &rows[below]);
    }
}

/* A heapsort: libc's qsort() allocates, and the program may have one of its own. */
static void sort(struct row *rows, size_t count)
{
    for (size_t at = count / 2; at-- > 0;)
        sift_down(rows, count, at);
    for (size_t end = count; end-- > 1;) {
        swap(&rows[0], &rows[end]);
        sift_down(rows, end, 0);
    }
}

static void add_row(struct copy *copy, const struct mm_batch *batch)
{
    const struct mm_heap *heap = mm_batch_owner(batch);
    if (heap == NULL || copy->count == copy->capacity)
        return;
    copy->rows[copy->count++] = (struct row){
        .heap = heap,
        .base = mm_batch_base(batch),
        .live = live_of(batch),
        .heap_number = heap->number,
        .size = mm_batch_size(batch),
        .slots = mm_batch_slots(batch),
    };
}

/* Some more rows than there are batches now: other threads go on opening them. */
static void take(struct copy *copy)
{
    copy->usage = mm_arena_usage();
    copy->count = 0;
    copy->capacity = count_batches() + 1024;
    copy->bytes = copy->capacity * sizeof *copy->rows;
    copy->rows = mm_os_map(copy->bytes);
    if (copy->rows == NULL)
        copy->capacity = 0; /* only totals of none then */
    size_t unit = 0;
    size_t end = units_in_use();
    for (struct mm_batch *batch; (batch = mm_batch_walk(&unit, end)) != NULL;)
        add_row(copy, batch);
    sort(copy->rows, copy->count);
}

static void drop(struct copy *copy)
{
    if (copy->rows != NULL)
        mm_os_release(copy->rows, copy->bytes);
}

struct sums {
    size_t live, slots, batches;
};

static struct sums sum_rows(const struct row *rows, size_t count)
{
    struct sums sums = {.batches = count};
    for (size_t i = 0; i < count; i++) {
        sums.live += mm_bit_count(rows[i].live);
        sums.slots += rows[i].slots;
    }
    return sums;
}

static void write_totals(struct mm_out *out, const char *head, const struct copy *copy)
{
    struct sums sums = sum_rows(copy->rows, copy->count);
    mm_out_format(out, "%s%u blocks live in %u slots of %u batches, and %u forwarded", head,
                  (uint64_t)sums.live, (uint64_t)sums.slots, (uint64_t)sums.batches,
                  (uint64_t)mm_registry_count());
    if (atomic_load_explicit(&mm_guarded.size, memory_order_relaxed) != 0)
        mm_out_format(out, ", and %u guarded", (uint64_t)mm_guarded_live(NULL));
    mm_out_format(out, "\n");
    mm_out_format(out,
                  "  committed %u KiB of %u KiB reserved: %u KiB in heaps, %u KiB unused but not "
                  "yet given back; %u KiB of tables\n",
                  (uint64_t)copy->usage.committed >> 10, (uint64_t)copy->usage.reserved >> 10,
                  (uint64_t)copy->usage.taken >> 10, (uint64_t)copy->usage.dirty >> 10,
                  (uint64_t)copy->usage.metadata >> 10);
}

static void write_heap(struct mm_out *out, const struct mm_heap *heap)
{
    pid_t thread = atomic_load_explicit(&heap->thread, memory_order_relaxed);
    char name[MM_THREAD_NAME];
    mm_out_format(out, "heap %u, ", (uint64_t)heap->number);
    if (atomic_load_explicit(&heap->state, memory_order_relaxed) == MM_HEAP_STALE) {
        mm_out_format(out, "of a thread that fork() left behind\n");
    } else if (thread == 0) {
        mm_out_format(out, "of no thread now\n");
    } else {
        mm_os_thread_name(thread, name);
        mm_out_thread(out, thread, name);
        mm_out_format(out, "\n");
    }
}

static void write_batch(struct mm_out *out, const struct row *row)
{
    mm_out_format(out, "    batch %x  %u/%u  ", (uint64_t)row->base,
                  (uint64_t)mm_bit_count(row->live), (uint64_t)row->slots);
    for (unsigned slot = 0; slot < row->slots; slot++)
        mm_out_format(out, "%s%c", slot > 0 && slot % 8 == 0 ? " " : "",
                      row->live >> slot & 1 ? '#' : '.');
    mm_out_format(out, "\n");
}

static void write_list(struct mm_out *out, const struct row *rows, size_t count, size_t shown)
{
    struct sums sums = sum_rows(rows, count);
    mm_out_format(out, "  list of %u-byte slots: %u batch%s, %u of %u slots live\n",
                  (uint64_t)rows[0].size, (uint64_t)count, count == 1 ? "" : "es",
                  (uint64_t)sums.live, (uint64_t)sums.slots);
    for (size_t i = 0; i < count && (shown == 0 || i < shown); i++)
        write_batch(out, &rows[i]);
    if (shown != 0 && count > shown)
        mm_out_format(out, "    and %u more\n", (uint64_t)(count - shown));
}

void mm_snapshot_write(struct mm_out *out, const char *head, size_t batches_shown)
{
    struct copy copy;
    take(&copy);
    write_totals(out, head, &copy);
    for (size_t from = 0, to; from < copy.count; from = to) {
        const struct row *first = &copy.rows[from];
        for (to = from + 1; to < copy.count; to++) {
            if (copy.rows[to].heap != first->heap || copy.rows[to].size != first->size)
                break;
        }
        if (from == 0 || copy.rows[from - 1].heap != first->heap)
            write_heap(out, first->heap);
        write_list(out, first, to - from, batches_shown);
    }
    drop(&copy);
}

struct mm_snapshot_sums mm_snapshot_sums(void)
{
    struct mm_snapshot_sums sums = {0};
    size_t unit = 0;
    size_t end = units_in_use();
    sums.live = mm_guarded_live(&sums.live_bytes);
    for (struct mm_batch *batch; (batch = mm_batch_walk(&unit, end)) != NULL;) {
        unsigned live = mm_bit_count(live_of(batch));
        sums.live += live;
        sums.live_bytes += (size_t)live * mm_batch_size(batch);
    }
    return sums;
}
