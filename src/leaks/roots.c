/* roots.c - see roots.h. All state is the caller's struct mm_roots. */
#include "leaks/roots.h"

#include "blocks/record.h"
#include "blocks/stacks.h"
#include "forwarded/registry.h"
#include "leaks/present.h"
#include "slots/guarded.h"
#include "stacks/loaded.h"
#include "system/kernel.h"
#include "system/mapping.h"
#include "system/peek.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#if defined __x86_64__
#define TOP_OF_ALL (((uintptr_t)1 << 47) - 4096) /* but for who asks for more address space */
#else
#define TOP_OF_ALL ((uintptr_t)1 << 48)
#endif
#define TOP         8192u /* bytes at the end of a stack where its thread's descriptor lies */
#define EXTRA       256u
#define LIBC_HEAP   ((uintptr_t)64 << 20)
#define LEAST_CHUNK 32u
#define PER_THREAD  4u

static uintptr_t page_mask(void)
{
    return mm_os_page_size() - 1;
}

/* --- libc's heaps --- */

static bool read_words(uintptr_t from, uintptr_t *words, size_t count)
{
    size_t size = count * sizeof *words;
    return mm_peek(words, from, size, size) != 0;
}

/* The main one is a row of chunks, the last of which ends where it ends. Somebody else's memory may
 * come in between. */
static void exclude_main_heap(struct mm_roots *roots, uintptr_t start, uintptr_t end)
{
    uintptr_t at = start, chunk[2];
    while (end - at >= sizeof chunk && read_words(at, chunk, 2)) {
        uintptr_t size = chunk[1] & ~(uintptr_t)7;
        if (size < LEAST_CHUNK || size % 16 != 0 || size > end - at)
            break;
        at += size;
    }
    mm_ranges_add(&roots->excluded, start, at);
}

static void add_row(struct mm_range row, void *size)
{
    *(size_t *)size += row.end - row.start;
}

/* What is not there is not asked for: who provides it, as a handler of faults may, stands. */
static bool is_there(const struct mm_roots *roots, uintptr_t start, uintptr_t end)
{
    size_t size = 0;
    mm_present_each(roots->pages_fd, roots->entries, (struct mm_range){start, end}, add_row, &size);
    return size == end - start;
}

/* Those of threads begin at multiples of their size, with four words that tell of themselves. */
static bool is_libc_heap(const struct mm_roots *roots, uintptr_t start, uintptr_t end,
                         uintptr_t *size)
{
    uintptr_t head[4]; /* arena, heap before, size, size that can be written to */
    uintptr_t mask = page_mask();
    if (end - start < sizeof head || !is_there(roots, start, start + sizeof head) ||
        !read_words(start, head, 4))
        return false;
    *size = head[2];
    bool is_first = head[1] == 0 && head[0] - start < EXTRA;
    bool is_next = head[1] != 0 && head[1] % LIBC_HEAP == 0 && head[0] != 0;
    return (is_first || is_next) && head[2] != 0 && (head[2] & mask) == 0 && head[2] <= head[3] &&
           head[3] <= LIBC_HEAP && head[2] <= end - start;
}

static void exclude_heaps(struct mm_roots *roots, uintptr_t start, uintptr_t end)
{
    uintptr_t at = mm_round_up(start, LIBC_HEAP), size;
    for (; at < end; at += LIBC_HEAP) {
        if (is_libc_heap(roots, at, end, &size))
            mm_ranges_add(&roots->excluded, at, at + size);
    }
}

/* --- stacks --- */

/* Below where a thread stands is nothing of now. Of one that is gone, all; but what it returned is
 * kept in its descriptor until it is joined. */
static void exclude_stack(struct mm_roots *roots, uintptr_t low, uintptr_t home, uintptr_t end,
                          uintptr_t sp)
{
    if (sp > low && sp < home)
        mm_ranges_add(&roots->excluded, low, sp - MM_RED_ZONE);
    else if (sp == UINTPTR_MAX)
        mm_ranges_add(&roots->excluded, low, end);
}

/* The dynamic linker's table for the thread is kept with it; who knows the stacks of all blocks
 * knows it by that, and nothing that it refers to is in use any more. */
static uintptr_t head_of_descriptor(void)
{
    return mm_stacks_have_frames() ? 0 : 2 * sizeof(uintptr_t);
}

static void exclude_stack_of(struct mm_roots *roots, uintptr_t descriptor, uintptr_t end)
{
    uintptr_t low;
    pid_t id = mm_os_id_of_thread((pthread_t)descriptor);
    const struct mm_thread *thread = mm_stop_find(roots->stop, id);
    if (!mm_os_stack_of((pthread_t)descriptor, &low))
        return;
    if (thread != NULL && atomic_load(&thread->state) != MM_THREAD_GONE)
        exclude_stack(roots, low, descriptor, end, thread->sp);
    else if (id < 0) { /* it was joined */
        exclude_stack(roots, low, descriptor, descriptor, UINTPTR_MAX);
        exclude_stack(roots, descriptor + head_of_descriptor(), end, end, UINTPTR_MAX);
    } else if (id == 0 || thread != NULL)
        exclude_stack(roots, low, descriptor, descriptor, UINTPTR_MAX);
}

/* A mapping may end in a thread's descriptor. */
static void exclude_stacks(struct mm_roots *roots, uintptr_t start, uintptr_t end)
{
    uintptr_t from = end - start > TOP ? end - TOP : start;
    while (from < end && !is_there(roots, from, end))
        from = mm_round_up(from + 1, mm_os_page_size());
    size_t size = mm_peek(roots->words, from, 0, end - from);
    for (size_t i = 0; i + 3 <= size / sizeof *roots->words; i++) {
        if (mm_os_is_descriptor(from + i * sizeof *roots->words, roots->words + i)) {
            exclude_stack_of(roots, from + i * sizeof *roots->words, end);
            return;
        }
    }
}

static void exclude_standing(struct mm_roots *roots)
{
    const struct mm_here *here = roots->here;
    exclude_stack(roots, here->low, here->home, here->home, here->sp);
    for (size_t i = 0; i < atomic_load(&roots->stop->count); i++) {
        const struct mm_thread *thread = &roots->stop->threads[i];
        if (atomic_load(&thread->state) == MM_THREAD_STANDS && thread->home != 0)
            exclude_stack(roots, thread->low, thread->home, thread->home, thread->sp);
    }
}

/* --- blocks and the manager --- */

static void exclude_map(uintptr_t start, uintptr_t end, void *with)
{
    mm_ranges_add(&((struct mm_roots *)with)->excluded, start, end);
}

static void exclude_held(uintptr_t address, struct mm_record *record, void *with)
{
    mm_shape shape = mm_record_shape(record);
    if (shape & MM_SHAPE_HELD)
        mm_ranges_add(&((struct mm_roots *)with)->excluded, address,
                      address + mm_shape_asked(shape));
}

static void exclude_blocks(struct mm_roots *roots)
{
    for (size_t i = 0; i < roots->marks->block_count; i++)
        mm_ranges_add(&roots->excluded, roots->marks->blocks[i].start, roots->marks->blocks[i].end);
    if (mm_stacks_are_kept())
        mm_records_each_forwarded(exclude_held, roots);
}

static void exclude_own(struct mm_roots *roots, const struct mm_roots_settings *settings)
{
    struct mm_loaded own;
    uintptr_t arena = mm_arena.base;
    mm_os_each_map(exclude_map, roots);
    mm_ranges_add(&roots->excluded, arena, arena + (mm_arena_chunks() << MM_CHUNK_SHIFT));
    if (mm_arena_size() != 0)
        mm_ranges_add(&roots->excluded, mm_arena.lines, mm_arena.lines + mm_arena_lines_end());
    if (settings->own != NULL && mm_loaded_find((uintptr_t)settings->own, &own))
        mm_ranges_add(&roots->excluded, own.start, own.end);
}

/* --- what is mapped --- */

struct maps {
    struct mm_roots *roots;
    const struct mm_roots_settings *settings;
    size_t count;
    uintptr_t heap, heap_end; /* the main one of libc's */
};

static void count_map(const struct mm_mapping *mapping, void *with)
{
    (void)mapping;
    ((struct maps *)with)->count++;
}

/* Memory of a device does what it likes when it is read. */
static bool is_device(const char *path)
{
    return strncmp(path, "/dev/", 5) == 0 && strncmp(path, "/dev/zero", 9) != 0 &&
           strncmp(path, "/dev/shm/", 9) != 0;
}

static bool is_candidate(const struct mm_mapping *mapping)
{
    bool is_special = strcmp(mapping->path, "[vvar]") == 0 ||
                      strcmp(mapping->path, "[vvar_vclock]") == 0 ||
                      strcmp(mapping->path, "[vsyscall]") == 0;
    bool is_anonymous = mapping->path[0] == '\0' && !mapping->shared;
    return mapping->readable && !is_special && !is_device(mapping->path) &&
           (mapping->writable || is_anonymous);
}

static void note_unreadable(struct mm_marks *marks, const struct mm_mapping *mapping)
{
    uintptr_t end = mm_arena.base + (mm_arena_chunks() << MM_CHUNK_SHIFT);
    bool is_in_slots = mapping->start < end && mapping->end > mm_arena.base;
    bool is_in_blocks =
        mapping->start < marks->lowest + marks->span && mapping->end > marks->lowest;
    if (is_in_slots || is_in_blocks)
        mm_ranges_add(&marks->unreadable, mapping->start, mapping->end);
}

static void take_map(const struct mm_mapping *mapping, void *with)
{
    struct maps *maps = with;
    if (!mapping->readable && maps->roots->stacks == NULL)
        note_unreadable(maps->roots->marks, mapping);
    if (mapping->shared || (!is_candidate(mapping) && mapping->path[0] != '\0'))
        mm_ranges_add(&maps->roots->others, mapping->start, mapping->end);
    if (!is_candidate(mapping))
        return;
    mm_ranges_add(mapping->shared ? &maps->roots->shared : &maps->roots->candidates, mapping->start,
                  mapping->end);
    if (strcmp(mapping->path, "[heap]") == 0) {
        maps->heap = mapping->start;
        maps->heap_end = mapping->end;
    }
}

/* What lies in an arena is the manager's, whatever the mapping has beside it. */
static void exclude_in_maps(struct maps *maps)
{
    struct mm_roots *roots = maps->roots;
    bool is_own = maps->settings->libc_heap_is_own;
    if (is_own && maps->heap != 0)
        exclude_main_heap(roots, maps->heap, maps->heap_end);
    for (size_t i = 0; i < roots->candidates.count; i++) {
        struct mm_range range = roots->candidates.of[i];
        if (mm_arena_has(range.start) || mm_arena_has(range.end - 1))
            continue;
        exclude_stacks(roots, range.start, range.end);
        if (is_own)
            exclude_heaps(roots, range.start, range.end);
    }
}

static void find_libc(struct mm_roots *roots)
{
    struct mm_loaded libc;
    if (!mm_loaded_find((uintptr_t)getpagesize, &libc))
        return;
    roots->libc = libc.start;
    roots->libc_end = libc.end;
}

static size_t stacks_of(const struct mm_roots *roots)
{
    return roots->stacks != NULL ? roots->stacks->count : 0;
}

static size_t exclusions(const struct mm_roots *roots, size_t maps)
{
    size_t held = mm_stacks_are_kept() ? (size_t)1 << 16 : 0;
    return roots->marks->block_count + PER_THREAD * atomic_load(&roots->stop->count) + 2 * maps +
           held + stacks_of(roots) + MM_OS_MAPS_NOTED;
}

static bool map_all(struct mm_roots *roots, size_t maps)
{
    roots->words = mm_os_map(MM_ROOTS_WORDS * sizeof *roots->words);
    if (roots->stacks != NULL)
        roots->tagged = mm_os_map(MM_ROOTS_WORDS * sizeof *roots->tagged);
    roots->entries = mm_os_map(MM_PRESENT_ENTRIES * sizeof *roots->entries);
    return roots->words != NULL && roots->entries != NULL &&
           mm_ranges_map(&roots->candidates, 2 * maps + EXTRA) &&
           mm_ranges_map(&roots->shared, 2 * maps + EXTRA) &&
           mm_ranges_map(&roots->others, 2 * maps + EXTRA) &&
           (roots->stacks == NULL || roots->tagged != NULL) &&
           mm_ranges_map(&roots->apart, 2 * maps + EXTRA + exclusions(roots, maps)) &&
           mm_ranges_map(&roots->excluded, exclusions(roots, maps)) &&
           mm_ranges_map(&roots->marks->unreadable, 2 * maps + EXTRA);
}

static int open_pages(void)
{
    return mm_kernel_open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

struct mm_roots_before mm_roots_before(void)
{
    struct maps maps = {0};
    mm_mapping_each(count_map, &maps);
    return (struct mm_roots_before){true, open_pages(), maps.count};
}

bool mm_roots_are_all(const struct mm_roots_before *before)
{
    struct maps maps = {0};
    return mm_mapping_each(count_map, &maps) && maps.count == before->maps;
}

bool mm_roots_start(struct mm_roots *roots, const struct mm_roots_settings *settings,
                    const struct mm_stop *stop, const struct mm_here *here, struct mm_marks *marks)
{
    struct maps maps = {roots, settings, 0, 0, 0};
    *roots = (struct mm_roots){.stop = stop,
                               .here = here,
                               .marks = marks,
                               .pages_fd = -1,
                               .stacks = settings->stacks,
                               .own = settings->own};
    if (!mm_mapping_each(count_map, &maps) || !map_all(roots, maps.count)) {
        mm_roots_end(roots);
        return false;
    }
    roots->pages_fd = open_pages();
    exclude_own(roots, settings);
    exclude_blocks(roots);
    exclude_standing(roots);
    for (size_t i = 0; settings->stacks != NULL && i < settings->stacks->count; i++)
        mm_ranges_add(&roots->excluded, settings->stacks->of[i].start, settings->stacks->of[i].end);
    mm_mapping_each(take_map, &maps);
    exclude_in_maps(&maps);
    find_libc(roots);
    mm_ranges_sort(&roots->excluded);
    mm_ranges_sort(&roots->others);
    mm_ranges_sort(&marks->unreadable);
    roots->is_cut = roots->excluded.is_cut || roots->candidates.is_cut || roots->shared.is_cut ||
                    roots->others.is_cut;
    roots->shared_pages_fd = settings->before.is_copy ? settings->before.pages_fd : roots->pages_fd;
    return true;
}

void mm_roots_end(struct mm_roots *roots)
{
    if (roots->words != NULL)
        mm_os_release(roots->words, MM_ROOTS_WORDS * sizeof *roots->words);
    if (roots->entries != NULL)
        mm_os_release(roots->entries, MM_PRESENT_ENTRIES * sizeof *roots->entries);
    mm_ranges_release(&roots->candidates);
    mm_ranges_release(&roots->shared);
    mm_ranges_release(&roots->others);
    if (roots->tagged != NULL)
        mm_os_release(roots->tagged, MM_ROOTS_WORDS * sizeof *roots->tagged);
    mm_ranges_release(&roots->apart);
    mm_ranges_release(&roots->excluded);
    if (roots->pages_fd >= 0)
        mm_os_close(roots->pages_fd);
    *roots = (struct mm_roots){.pages_fd = -1};
}

/* --- while threads run --- */

static void add_apart(uintptr_t start, uintptr_t end, void *with)
{
    mm_ranges_add(with, start, end);
}

static void add_all(struct mm_ranges *to, const struct mm_ranges *from)
{
    for (size_t i = 0; i < from->count; i++)
        mm_ranges_add(to, from->of[i].start, from->of[i].end);
}

static void find_apart(struct mm_roots *roots)
{
    struct mm_loaded own;
    struct mm_ranges *apart = &roots->apart;
    apart->count = 0;
    mm_os_each_map(add_apart, apart);
    if (roots->own != NULL && mm_loaded_find((uintptr_t)roots->own, &own))
        mm_ranges_add(apart, own.start, own.end);
    add_all(apart, roots->stacks);
    add_all(apart, &roots->others);
    mm_ranges_sort(apart);
}

struct changes {
    const struct mm_roots *roots;
    bool found;
};

static void find_change(const struct mm_mapping *mapping, void *with)
{
    struct changes *changes = with;
    const struct mm_ranges *others = &changes->roots->others;
    size_t next = mm_ranges_find(others, mapping->start);
    if (is_candidate(mapping) && !mapping->shared && next < others->count &&
        others->of[next].start < mapping->end)
        changes->found = true;
}

bool mm_roots_hold(const struct mm_roots *roots)
{
    struct changes changes = {roots, false};
    return mm_mapping_each(find_change, &changes) && !changes.found;
}

bool mm_roots_renew(struct mm_roots *roots)
{
    struct maps maps = {.roots = roots};
    roots->candidates.count = roots->shared.count = roots->others.count = 0;
    bool is_listed = mm_mapping_each(take_map, &maps);
    mm_ranges_sort(&roots->others);
    return is_listed && !roots->candidates.is_cut && !roots->shared.is_cut && !roots->others.is_cut;
}

/* Slots are in memory that the manager mapped. */
void mm_roots_each_part(struct mm_roots *roots, enum mm_parts which, mm_roots_part part, void *with)
{
    uintptr_t slots_end = mm_arena.base + (mm_arena_chunks() << MM_CHUNK_SHIFT);
    uintptr_t pool_end = mm_guarded.base + atomic_load(&mm_guarded.size);
    find_apart(roots);
    for (size_t i = 0; i < roots->candidates.count && which != MM_PARTS_ALL; i++)
        mm_ranges_outside(&roots->apart, roots->candidates.of[i], part, with);
    if (which == MM_PARTS_ALL)
        mm_ranges_outside(&roots->apart, (struct mm_range){mm_os_page_size(), TOP_OF_ALL}, part,
                          with);
    if (which != MM_PARTS_BUT_SLOTS && slots_end != mm_arena.base)
        part((struct mm_range){mm_arena.base, slots_end}, with);
    if (which != MM_PARTS_BUT_SLOTS && pool_end != mm_guarded.base)
        part((struct mm_range){mm_guarded.base, pool_end}, with);
}
