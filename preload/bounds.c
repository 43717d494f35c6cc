/* bounds.c - how libmmshim_bounds.so starts, how much of what is not in the arena may be used, and
 * what is more than one line in the table (bounds.def).
 *
 * What was found at the start is written by the library's constructor, or by whoever calls a
 * function before that: the same each time. What a thread keeps of memory outside of the arena is
 * its own; a signal handler may change it between any two steps. */
#include "bounds.h"

#include "system/libc.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

void *_Atomic bounds_found[BOUNDS_FUNCTIONS];
const struct shim_door *_Atomic bounds_door;

static const char *const names[BOUNDS_FUNCTIONS] = {
#define BOUNDS_ROW(name) #name,
#include "bounds.def"
};

/* --- the start --- */

/* What comes first behind us may be a library's own function that only has the name: it is gone to
 * by the functions themselves (bounds_calls.c). */
#define HIDDEN           __attribute__((visibility("hidden")))
#define BOUNDS_ROW(name) HIDDEN void *bounds_foreign_##name;
#include "bounds.def"
static void **const foreign[BOUNDS_FUNCTIONS] = {
#define BOUNDS_ROW(name) &bounds_foreign_##name,
#include "bounds.def"
};

static void note_foreign(void)
{
    static void *_Atomic own[BOUNDS_FUNCTIONS];
    mm_libc_find_all_late(MM_LIBC_OWN, names, own, BOUNDS_FUNCTIONS);
    for (unsigned i = 0; i < BOUNDS_FUNCTIONS; i++) {
        if (bounds_next(i) != atomic_load_explicit(&own[i], memory_order_relaxed))
            *foreign[i] = bounds_next(i);
    }
}

/* Libraries that are set up before us may have threads that load and unload modules. */
static void find_all(void)
{
    mm_libc_find_all_late(MM_LIBC_NEXT, names, bounds_found, BOUNDS_FUNCTIONS);
    note_foreign();
}

void *bounds_find(enum bounds_function function, void *nothing)
{
    find_all();
    void *next = bounds_next(function);
    if (next != NULL)
        return next;
    errno = ENOSYS;
    return nothing;
}

__attribute__((constructor)) static void begin(void)
{
    find_all();
    shim_door_fn *door = (shim_door_fn *)mm_libc_find_late(MM_LIBC_FIRST, SHIM_DOOR_NAME);
    if (door != NULL)
        atomic_store_explicit(&bounds_door, door(), memory_order_release);
}

/* --- memory outside of the arena --- */

/* What was found around an address holds until a forwarded block comes or goes. Who reads an entry
 * looks at its stamp before and afterwards: a signal handler may have put another there. Addresses
 * are kept as complements: who looks for leaks is not to take them for pointers to the block. */
#define REGION_BITS 16u
#define ENTRIES     32u
struct entry {
    uint64_t changes; /* 0: nothing is here */
    uintptr_t not_start, not_end;
    enum mm_bounds_of of;
    unsigned stamp;
};
static _Thread_local struct {
    unsigned stamps;
    struct entry entries[ENTRIES];
} kept __attribute__((tls_model("initial-exec")));

static size_t room_in(const struct mm_bounds_range *range, uintptr_t address)
{
    return range->of == MM_BOUNDS_OF_BLOCK  ? range->end - address
           : range->of == MM_BOUNDS_OF_HELD ? 0
                                            : BOUNDS_ANY;
}

static bool knows(const volatile struct entry *entry, uint64_t changes, uintptr_t address,
                  struct mm_bounds_range *range)
{
    unsigned stamp = entry->stamp;
    *range = (struct mm_bounds_range){~entry->not_start, ~entry->not_end, entry->of};
    return entry->changes == changes && address - range->start < range->end - range->start &&
           entry->stamp == stamp;
}

MM_COLD static size_t look(const struct shim_door *shim, volatile struct entry *entry,
                           uint64_t changes, uintptr_t address)
{
    struct mm_bounds_range range;
    if (!shim->outside(address, &range))
        return BOUNDS_ANY;
    entry->changes = 0;
    entry->not_start = ~range.start;
    entry->not_end = ~range.end;
    entry->of = range.of;
    entry->stamp = ++kept.stamps;
    entry->changes = changes;
    return room_in(&range, address);
}

bool bounds_is_guarded(const struct shim_door *shim, uintptr_t address)
{
    /* Acquire pairs with the release of who made the pool. */
    size_t size = atomic_load_explicit(&shim->guarded->size, memory_order_acquire);
    return size != 0 && address - shim->guarded->base < size;
}

size_t bounds_room_outside(const struct shim_door *shim, uintptr_t address)
{
    if (mm_unlikely(bounds_is_guarded(shim, address)))
        return shim->room_guarded(address);
    /* Acquire pairs with the release of mm_registry_note_change(). */
    uint64_t changes = atomic_load_explicit(shim->changes, memory_order_acquire);
    volatile struct entry *entry = &kept.entries[(address >> REGION_BITS) % ENTRIES];
    struct mm_bounds_range range;
    return mm_likely(knows(entry, changes, address, &range)) ? room_in(&range, address)
                                                             : look(shim, entry, changes, address);
}

/* --- telling --- */

/* A fortified function, or one of another release of C, is told as the one that the program calls.
 */
#define NAME_MOST 32u
static const char *plain_name(const char *name, char to[static NAME_MOST])
{
    size_t skipped = strncmp(name, "__isoc", 6) == 0 ? strlen("__isoc99_")
                     : strncmp(name, "__", 2) == 0   ? 2
                                                     : 0;
    size_t length = strlen(name + skipped), suffix = strlen("_chk");
    if (length > suffix && strcmp(name + skipped + length - suffix, "_chk") == 0)
        length -= suffix;
    if (length >= NAME_MOST)
        return name;
    memcpy(to, name + skipped, length);
    to[length] = '\0';
    return to;
}

static void tell(struct mm_access *access, struct bounds_call call)
{
    char name[NAME_MOST];
    if (call.shim == NULL || (uintptr_t)call.caller - call.shim->start < call.shim->size)
        return;
    access->function = plain_name(call.function, name);
    call.shim->tell(access, call.caller);
}

void bounds_tell(struct bounds_call call, const void *at, size_t size, enum bounds_how how)
{
    struct mm_access access = {.start = mm_os_untagged(at),
                               .size = size,
                               .is_write = how == BOUNDS_WRITES,
                               .is_at_least = how == BOUNDS_READS_AT_LEAST};
    tell(&access, call);
}

void bounds_begin(struct bounds_call call, const void *at, size_t size)
{
    uintptr_t address = mm_os_untagged(at);
    if (bounds_is_guarded(call.shim, address) && bounds_room(call, at) < size)
        call.shim->begins(address, size);
}

void bounds_tell_overlap(struct bounds_call call, const void *to, const void *from, size_t size)
{
    struct mm_access access = {
        .start = mm_os_untagged(to), .from = mm_os_untagged(from), .size = size, .is_write = true};
    tell(&access, call);
}

/* --- texts --- */

static size_t length_of(const char *text, size_t most)
{
    return NEXT(strnlen)(text, most);
}

static size_t wide_length_of(const wchar_t *text, size_t most)
{
    return NEXT(wcsnlen)(text, most);
}

void bounds_text(struct bounds_call call, const char *text, size_t most)
{
    size_t room = bounds_room(call, text);
    if (mm_unlikely(room < most) && length_of(text, room) == room)
        bounds_tell(call, text, room + 1, BOUNDS_READS_AT_LEAST);
}

void bounds_wide_text(struct bounds_call call, const wchar_t *text, size_t most)
{
    size_t room = bounds_wide_room(call, text);
    if (mm_unlikely(room < most) && wide_length_of(text, room) == room)
        bounds_tell(call, text, (room + 1) * sizeof(wchar_t), BOUNDS_READS_AT_LEAST);
}

size_t bounds_whole_text(const char *text)
{
    return text != NULL ? NEXT(strlen)(text) + 1 : 0;
}

size_t bounds_whole_wide_text(const wchar_t *text)
{
    return text != NULL ? (NEXT(wcslen)(text) + 1) * sizeof *text : 0;
}

size_t bounds_found_text(const char *in, const char *found, const char *wanted)
{
    return found != NULL ? (size_t)(found - in) + NEXT(strlen)(wanted) : NEXT(strlen)(in) + 1;
}

size_t bounds_found_wide_text(const wchar_t *in, const wchar_t *found, const wchar_t *wanted)
{
    size_t read =
        found != NULL ? (size_t)(found - in) + NEXT(wcslen)(wanted) : NEXT(wcslen)(in) + 1;
    return read * sizeof *in;
}

void bounds_finds_letter(struct bounds_call call, const char *text, int letter)
{
    SEARCHES(text, BOUNDS_ANY, 1,
             length_of(text, room) < room || NEXT(memchr)(text, letter, room) != NULL)
}

void bounds_finds_wide_letter(struct bounds_call call, const wchar_t *text, wchar_t letter)
{
    SEARCHES(text, BOUNDS_ANY, sizeof *text,
             wide_length_of(text, room) < room || NEXT(wmemchr)(text, letter, room) != NULL)
}

void bounds_stopped(struct bounds_call call, const char *text, char *stop, char **wanted)
{
    if (stop == NULL)
        return;
    if (wanted != NULL)
        *wanted = stop;
    READS(text, (size_t)(stop - text) + 1)
}

void bounds_wide_stopped(struct bounds_call call, const wchar_t *text, wchar_t *stop,
                         wchar_t **wanted)
{
    if (stop == NULL)
        return;
    if (wanted != NULL)
        *wanted = stop;
    READS(text, ((size_t)(stop - text) + 1) * sizeof *text)
}

/* Texts end where both do; of plain memory the end is `most`, which is not reached. */
static bool ends_within(const struct bounds_pair *pair, size_t room)
{
    switch (pair->by) {
    case BOUNDS_OF_memcmp:
    case BOUNDS_OF_wmemcmp:
        return false;
    case BOUNDS_OF_wcsncmp:
    case BOUNDS_OF_wcsncasecmp:
        return wide_length_of(pair->first, room) < room;
    default:
        return length_of(pair->first, room) < room;
    }
}

/* All that compare take their memory alike. */
typedef int compare_fn(const void *, const void *, size_t);

void bounds_compare_short(struct bounds_call call, const struct bounds_pair *pair)
{
    size_t of_first = bounds_room(call, pair->first), of_second = bounds_room(call, pair->second);
    size_t room = bounds_least(of_first, of_second) / pair->unit;
    compare_fn *compares = (compare_fn *)bounds_next(pair->by);
    if (compares(pair->first, pair->second, room) == 0 && !ends_within(pair, room))
        bounds_tell(call, of_first <= of_second ? pair->first : pair->second,
                    (room + 1) * pair->unit, BOUNDS_READS_AT_LEAST);
}

/* Of texts near each other, how far a copy of one reaches is looked at for the overlap's sake. */
#define NEAR 4096u

static size_t distance(const void *first, const void *second)
{
    uintptr_t one = (uintptr_t)first, other = (uintptr_t)second;
    return one < other ? other - one : one - other;
}

void bounds_apart_text(struct bounds_call call, const char *to, const char *from, size_t most)
{
    size_t apart = distance(to, from);
    if (apart < NEAR && apart < most)
        bounds_apart(call, to, from, length_of(from, apart + 1));
}

void bounds_copy(struct bounds_call call, char *to, bool appends, const char *from, size_t most)
{
    size_t room = bounds_room(call, to), room_of_from = bounds_room(call, from);
    size_t before = 0;
    if (room == BOUNDS_ANY && room_of_from == BOUNDS_ANY && distance(to, from) >= NEAR)
        return;
    if (appends && (before = length_of(to, room)) == room) {
        bounds_tell(call, to, room + 1, BOUNDS_READS_AT_LEAST);
        return;
    }
    size_t length = length_of(from, bounds_least(room_of_from, most));
    if (length < most && length == room_of_from) {
        bounds_tell(call, from, length + 1, BOUNDS_READS_AT_LEAST);
        return;
    }
    bounds_apart(call, to + before, from, length + 1);
    if (before + length + 1 > room)
        bounds_tell(call, to, before + length + 1, BOUNDS_WRITES);
}

void bounds_wide_copy(struct bounds_call call, wchar_t *to, bool appends, const wchar_t *from,
                      size_t most)
{
    size_t room = bounds_wide_room(call, to), room_of_from = bounds_wide_room(call, from);
    size_t before = 0, unit = sizeof(wchar_t);
    if (room == BOUNDS_ANY && room_of_from == BOUNDS_ANY && distance(to, from) >= NEAR)
        return;
    if (appends && (before = wide_length_of(to, room)) == room) {
        bounds_tell(call, to, (room + 1) * unit, BOUNDS_READS_AT_LEAST);
        return;
    }
    size_t length = wide_length_of(from, bounds_least(room_of_from, most));
    if (length < most && length == room_of_from) {
        bounds_tell(call, from, (length + 1) * unit, BOUNDS_READS_AT_LEAST);
        return;
    }
    bounds_apart(call, to + before, from, (length + 1) * unit);
    if (before + length + 1 > room)
        bounds_tell(call, to, (before + length + 1) * unit, BOUNDS_WRITES);
}

void bounds_left_text(struct bounds_call call, const char *text, size_t size)
{
    if (mm_unlikely(bounds_room(call, text) < size))
        bounds_use(call, text, length_of(text, size - 1) + 1, BOUNDS_WRITES);
}

void bounds_left_wide_text(struct bounds_call call, const wchar_t *text, size_t size)
{
    if (mm_unlikely(bounds_wide_room(call, text) < size))
        bounds_use(call, text, (wide_length_of(text, size - 1) + 1) * sizeof(wchar_t),
                   BOUNDS_WRITES);
}

void bounds_vector(struct bounds_call call, const struct iovec *pieces, size_t count, size_t size,
                   enum bounds_how how)
{
    for (size_t i = 0; i < count && size != 0; i++) {
        size_t part = bounds_least(size, pieces[i].iov_len);
        bounds_use(call, pieces[i].iov_base, part, how);
        size -= part;
    }
}

/* What the kernel is to find unreadable, or too many, it finds itself. */
static bool can_read(struct bounds_call call, const void *first, size_t count, size_t size)
{
    const char *last = (const char *)first + count * size - 1;
    return count != 0 && count <= BOUNDS_PIECES_MOST && call.shim->is_readable(first) &&
           call.shim->is_readable(last);
}

void bounds_begin_pieces(struct bounds_call call, const struct iovec *pieces, size_t count)
{
    if (!bounds_has_guarded(call) || !can_read(call, pieces, count, sizeof *pieces))
        return;
    for (size_t i = 0; i < count; i++)
        bounds_begin(call, pieces[i].iov_base, pieces[i].iov_len);
}

void bounds_begin_message(struct bounds_call call, const struct msghdr *message)
{
    if (bounds_has_guarded(call) && can_read(call, message, 1, sizeof *message))
        bounds_begin_pieces(call, message->msg_iov, message->msg_iovlen);
}

void bounds_begin_messages(struct bounds_call call, const struct mmsghdr *messages, size_t count)
{
    if (!bounds_has_guarded(call) || !can_read(call, messages, count, sizeof *messages))
        return;
    for (size_t i = 0; i < count; i++)
        bounds_begin_pieces(call, messages[i].msg_hdr.msg_iov, messages[i].msg_hdr.msg_iovlen);
}

void bounds_messages(struct bounds_call call, const struct mmsghdr *messages, int count,
                     enum bounds_how how)
{
    for (int i = 0; i < count; i++)
        bounds_vector(call, messages[i].msg_hdr.msg_iov, messages[i].msg_hdr.msg_iovlen,
                      messages[i].msg_len, how);
}
