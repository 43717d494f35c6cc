/* roots.c - see roots.h. All state is the caller's struct mm_roots. */
#include "leaks/roots.h"

#include "blocks/record.h"
#include "blocks/stacks.h"
#include "forwarded/registry.h"
#include "stacks/loaded.h"
#include "system/folder.h"
#include "system/kernel.h"
#include "system/mapping.h"
#include "system/out.h"
#include "system/peek.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define WORDS       4096u /* copied at once */
#define ENTRIES     4096u
#define PIECE       2048u
#define PRESENT     (UINT64_C(3) << 62) /* in memory, or swapped out */
#define RED_ZONE    128u
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

/* Those of threads begin at multiples of their size, with four words that tell of themselves. */
static bool is_libc_heap(uintptr_t start, uintptr_t end, uintptr_t *size)
{
    uintptr_t head[4]; /* arena, heap before, size, size that can be written to */
    uintptr_t mask = page_mask();
    if (end - start < sizeof head || !read_words(start, head, 4))
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
        if (is_libc_heap(at, end, &size))
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
        mm_ranges_add(&roots->excluded, low, sp - RED_ZONE);
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
    if (!mapping->readable)
        note_unreadable(maps->roots->marks, mapping);
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

static size_t exclusions(const struct mm_roots *roots, size_t maps)
{
    size_t held = mm_stacks_are_kept() ? (size_t)1 << 16 : 0;
    return roots->marks->block_count + PER_THREAD * atomic_load(&roots->stop->count) + 2 * maps +
           held + MM_OS_MAPS_NOTED;
}

static bool map_all(struct mm_roots *roots, size_t maps)
{
    roots->words = mm_os_map(WORDS * sizeof *roots->words);
    roots->entries = mm_os_map(ENTRIES * sizeof *roots->entries);
    return roots->words != NULL && roots->entries != NULL &&
           mm_ranges_map(&roots->candidates, 2 * maps + EXTRA) &&
           mm_ranges_map(&roots->shared, 2 * maps + EXTRA) &&
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
    *roots = (struct mm_roots){.stop = stop, .here = here, .marks = marks, .pages_fd = -1};
    if (!mm_mapping_each(count_map, &maps) || !map_all(roots, maps.count)) {
        mm_roots_end(roots);
        return false;
    }
    exclude_own(roots, settings);
    exclude_blocks(roots);
    exclude_standing(roots);
    mm_mapping_each(take_map, &maps);
    exclude_in_maps(&maps);
    find_libc(roots);
    mm_ranges_sort(&roots->excluded);
    mm_ranges_sort(&marks->unreadable);
    roots->is_cut = roots->excluded.is_cut || roots->candidates.is_cut || roots->shared.is_cut;
    roots->pages_fd = open_pages();
    roots->shared_pages_fd = settings->before.is_copy ? settings->before.pages_fd : roots->pages_fd;
    return true;
}

void mm_roots_end(struct mm_roots *roots)
{
    if (roots->words != NULL)
        mm_os_release(roots->words, WORDS * sizeof *roots->words);
    if (roots->entries != NULL)
        mm_os_release(roots->entries, ENTRIES * sizeof *roots->entries);
    mm_ranges_release(&roots->candidates);
    mm_ranges_release(&roots->shared);
    mm_ranges_release(&roots->excluded);
    if (roots->pages_fd >= 0)
        mm_os_close(roots->pages_fd);
    *roots = (struct mm_roots){.pages_fd = -1};
}

/* --- their words --- */

static void tell_words(struct mm_roots *roots, uintptr_t at, size_t size)
{
    bool is_libc = at >= roots->libc && at < roots->libc_end;
    mm_marks_words(roots->marks, roots->words, size / sizeof *roots->words,
                   is_libc ? MM_WORDS_OF_LIBC : MM_WORDS_ANY);
}

/* As much as can be read from there on, up to `most`; through a pipe, where there is no other way,
 * less than it has room for. */
static size_t copy(struct mm_roots *roots, uintptr_t at, size_t most)
{
    ssize_t got = mm_kernel_read_own(roots->words, (const void *)at, most);
    if (got > 0)
        return (size_t)got;
    return mm_peek(roots->words, at, 0, most < PIECE ? most : PIECE);
}

/* Pages that hold something, as far as they can be read. */
static void tell_pages(struct mm_roots *roots, uintptr_t start, uintptr_t end)
{
    uintptr_t mask = page_mask();
    for (uintptr_t at = start; at < end;) {
        size_t most = WORDS * sizeof *roots->words - (at & mask);
        size_t got = copy(roots, at, end - at < most ? end - at : most);
        if (got != 0)
            tell_words(roots, at, got);
        at = got != 0 ? at + got : (at | mask) + 1;
    }
}

static size_t read_entries(struct mm_roots *roots, uintptr_t page, size_t count)
{
    ssize_t got = roots->pages_fd < 0 ? -1
                                      : mm_kernel_read_at(roots->pages_fd, roots->entries,
                                                          count * sizeof *roots->entries,
                                                          page * sizeof *roots->entries);
    return got > 0 ? (size_t)got / sizeof *roots->entries : 0;
}

/* From `at` on, in steps of what the system tells at once. */
static uintptr_t tell_some(struct mm_roots *roots, uintptr_t at, uintptr_t end)
{
    size_t page_size = mm_os_page_size();
    uintptr_t first = at / page_size, last = (end - 1) / page_size;
    size_t wanted = last - first + 1 < ENTRIES ? last - first + 1 : ENTRIES;
    size_t count = read_entries(roots, first, wanted), run = 0;
    if (count == 0) {
        tell_pages(roots, at, end);
        return end;
    }
    for (size_t i = 0; i < count; i += run) {
        bool has = roots->entries[i] & PRESENT;
        for (run = 1; i + run < count && !(roots->entries[i + run] & PRESENT) == !has;)
            run++;
        uintptr_t from = (first + i) * page_size, to = (first + i + run) * page_size;
        if (has)
            tell_pages(roots, from > at ? from : at, to < end ? to : end);
    }
    uintptr_t reached = (first + count) * page_size;
    return reached < end ? reached : end;
}

static void tell_part(struct mm_range part, void *with)
{
    uintptr_t at = mm_round_up(part.start, sizeof(uintptr_t));
    uintptr_t end = part.end & ~(uintptr_t)(sizeof(uintptr_t) - 1);
    while (at < end)
        at = tell_some(with, at, end);
}

/* A thread's registers may lie on a stack of their own, in a block that nothing points to. */
static void tell_registers(struct mm_roots *roots)
{
    for (size_t i = 0; i < atomic_load(&roots->stop->count); i++) {
        const struct mm_thread *thread = &roots->stop->threads[i];
        if (atomic_load(&thread->state) != MM_THREAD_STANDS)
            continue;
        bool is_below = thread->sp > thread->frame && thread->sp - thread->frame < MM_THREAD_FRAME;
        uintptr_t end = is_below ? thread->sp : thread->frame + MM_THREAD_FRAME;
        tell_pages(roots, thread->frame & ~(uintptr_t)(sizeof(uintptr_t) - 1), end);
    }
}

static void tell_list(struct mm_roots *roots, const struct mm_ranges *list)
{
    for (size_t i = 0; i < list->count; i++)
        mm_ranges_outside(&roots->excluded, list->of[i], tell_part, roots);
}

void mm_roots_tell(struct mm_roots *roots)
{
    int own_fd = roots->pages_fd;
    tell_list(roots, &roots->candidates);
    roots->pages_fd = roots->shared_pages_fd;
    tell_list(roots, &roots->shared);
    roots->pages_fd = own_fd;
    tell_registers(roots);
    mm_marks_words(roots->marks, roots->here->registers, MM_HERE_REGISTERS, MM_WORDS_ANY);
}

/* --- what the kernel holds for an epoll: "data:" and a number in each line of its fdinfo --- */

struct epoll {
    struct mm_roots *roots;
    const char *wanted; /* what is left of "data:"; empty: a number comes, or blanks before it */
    uintptr_t data;
    bool has_digits;
};

static void begin_line(struct epoll *epoll)
{
    epoll->wanted = "data:";
    epoll->data = 0;
    epoll->has_digits = false;
}

static unsigned digit_of(char c)
{
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
    return (unsigned)digit;
}

static void read_letter(struct epoll *epoll, char c)
{
    if (*epoll->wanted != '\0') {
        epoll->wanted = c == *epoll->wanted ? epoll->wanted + 1 : "data:";
        return;
    }
    if (digit_of(c) < 16) {
        epoll->data = epoll->data * 16 + digit_of(c);
        epoll->has_digits = true;
    } else if (epoll->has_digits) {
        mm_marks_words(epoll->roots->marks, &epoll->data, 1, MM_WORDS_ANY);
        begin_line(epoll);
    }
}

static void tell_epoll(unsigned number, void *with)
{
    char path[64];
    struct mm_out out;
    struct epoll epoll = {.roots = with};
    mm_out_start(&out, path, sizeof path);
    mm_out_format(&out, "/proc/self/fdinfo/%u", (uint64_t)number);
    int fd = mm_os_open_read(path);
    begin_line(&epoll);
    for (size_t got; fd >= 0 && (got = mm_os_read(fd, epoll.roots->words, PIECE)) > 0;) {
        for (size_t i = 0; i < got; i++)
            read_letter(&epoll, ((const char *)epoll.roots->words)[i]);
    }
    if (fd >= 0)
        mm_os_close(fd);
}

void mm_roots_tell_epolls(struct mm_roots *roots)
{
    mm_folder_numbers("/proc/self/fdinfo", tell_epoll, roots);
}
