/* bounds.h - what the files of libmmshim_bounds.so share: the functions behind ours, how much of
 * the memory behind a pointer may be used, and telling that more is.
 *
 * All that memcpy() and its like come by takes no lock, keeps errno, and needs little stack. Before
 * the dynamic linker is done with us nothing here refers to anything outside of this library:
 * functions are found by the library's constructor, or by who calls one of those that no resolver
 * needs. */
#ifndef BOUNDS_H
#define BOUNDS_H

#include "bounds_headers.h"
#include "door.h"
#include "system/macros.h"
#include "system/os.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)

enum bounds_function {
#define BOUNDS_ROW(name) BOUNDS_OF_##name,
#include "bounds.def"
    BOUNDS_FUNCTIONS
};

/* Each of libc's, or of whoever's comes first behind ours; NULL: not known yet, or there is none.
 */
extern void *_Atomic bounds_found[BOUNDS_FUNCTIONS];

static inline void *bounds_next(enum bounds_function function)
{
    return atomic_load_explicit(&bounds_found[function], memory_order_relaxed);
}
#define NEXT(name) ((__typeof__(&(name)))bounds_next(BOUNDS_OF_##name))

/* Looks all up, where that was not done yet. What there is none of stays NULL: then `nothing` is
 * the answer, with errno ENOSYS. */
void *bounds_find(enum bounds_function function, void *nothing);

static inline void *bounds_next_or(enum bounds_function function, void *nothing)
{
    void *next = bounds_next(function);
    return mm_likely(next != NULL) ? next : bounds_find(function, nothing);
}

/* --- how much may be used --- */

/* NULL: the shim is not there, or not yet. */
extern const struct shim_door *_Atomic bounds_door;

static inline const struct shim_door *bounds_shim(void)
{
    return atomic_load_explicit(&bounds_door, memory_order_acquire);
}

/* Who uses memory, where that call returns to, and the shim. */
struct bounds_call {
    const char *function;
    const void *caller;
    const struct shim_door *shim;
};

#define BOUNDS_ANY SIZE_MAX

/* Of memory outside of the arena; of the pool of guarded slots, too. */
bool bounds_is_guarded(const struct shim_door *shim, uintptr_t address);
size_t bounds_room_outside(const struct shim_door *shim, uintptr_t address);

/* Bytes from a pointer on that are the program's: 0 where the heap is not, BOUNDS_ANY where there
 * is no telling, or no heap. */
static inline size_t bounds_room(struct bounds_call call, const void *pointer)
{
    uintptr_t address = mm_os_untagged(pointer);
    if (mm_unlikely(call.shim == NULL))
        return BOUNDS_ANY;
    const struct mm_arena *arena = call.shim->arena;
    size_t size = atomic_load_explicit(&arena->size, memory_order_relaxed);
    return address - arena->base < size ? call.shim->room(address)
                                        : bounds_room_outside(call.shim, address);
}

/* The same in wide characters. */
static inline size_t bounds_wide_room(struct bounds_call call, const void *pointer)
{
    size_t room = bounds_room(call, pointer);
    return room != BOUNDS_ANY ? room / sizeof(wchar_t) : BOUNDS_ANY;
}

/* --- telling --- */

enum bounds_how { BOUNDS_READS, BOUNDS_WRITES, BOUNDS_READS_AT_LEAST };
MM_COLD void bounds_tell(struct bounds_call call, const void *at, size_t size, enum bounds_how how);
MM_COLD void bounds_tell_overlap(struct bounds_call call, const void *to, const void *from,
                                 size_t size);

/* --- what the table says: `call` is the wrapper's --- */

static inline void bounds_use(struct bounds_call call, const void *at, size_t size,
                              enum bounds_how how)
{
    if (mm_unlikely(bounds_room(call, at) < size))
        bounds_tell(call, at, size, how);
}
#define READS(at, size)  bounds_use(call, at, size, BOUNDS_READS);
#define WRITES(at, size) bounds_use(call, at, size, BOUNDS_WRITES);

/* Said before a call of what it is told of afterwards: `size` bytes at most are used. What would
 * make a system call fail is out of its way. */
MM_COLD void bounds_begin(struct bounds_call call, const void *at, size_t size);
static inline bool bounds_has_guarded(struct bounds_call call)
{
    return call.shim != NULL &&
           mm_unlikely(atomic_load_explicit(&call.shim->guarded->size, memory_order_relaxed) != 0);
}
static inline void bounds_opens(struct bounds_call call, const void *at, size_t size)
{
    if (bounds_has_guarded(call))
        bounds_begin(call, at, size);
}
#define OPENS(at, size) bounds_opens(call, at, (size_t)(size));
/* Of calls that name no limit; and what the kernel takes of a vector. */
enum { BOUNDS_PATH_MOST = 4096, BOUNDS_LINE_MOST = 2048, BOUNDS_PIECES_MOST = 1024 };

/* `size` bytes, `count` times. */
static inline size_t bounds_product(size_t size, size_t count)
{
    size_t product;
    return __builtin_mul_overflow(size, count, &product) ? SIZE_MAX : product;
}

/* --- how much a result says was used --- */

static inline size_t bounds_least(size_t first, size_t second)
{
    return first < second ? first : second;
}

/* How many bytes were transferred; an error is none. */
static inline size_t bounds_done(ptrdiff_t result)
{
    return result > 0 ? (size_t)result : 0;
}
/* Of a message that was cut its whole length may be told, as of a list that was only measured. */
#define RECEIVED(result, size) bounds_least(bounds_done(result), size)

/* A function rather than an operator in the table: a row has no ways of its own. */
static inline size_t bounds_if(bool is_used, size_t size)
{
    return is_used ? size : 0;
}

/* A result of so many characters, and its end where that is within `size`. */
static inline size_t bounds_with_end(size_t length, size_t size)
{
    return length < size ? length + 1 : size;
}

/* Of a conversion that may only have measured, or failed. */
static inline size_t bounds_converted(const void *to, size_t result, size_t size)
{
    return to != NULL && result != (size_t)-1 ? size : 0;
}

/* A text that a function returned, with its end, in bytes; NULL is none. Of one that it looked
 * for in another, what was read up to the end of what was wanted, or of all. */
size_t bounds_whole_text(const char *text);
size_t bounds_whole_wide_text(const wchar_t *text);
size_t bounds_found_text(const char *in, const char *found, const char *wanted);
size_t bounds_found_wide_text(const wchar_t *in, const wchar_t *found, const wchar_t *wanted);

/* Different memory; the same twice is what compilers make of an assignment. */
static inline void bounds_apart(struct bounds_call call, const void *to, const void *from,
                                size_t size)
{
    uintptr_t on = (uintptr_t)to - (uintptr_t)from, back = (uintptr_t)from - (uintptr_t)to;
    if (mm_unlikely((on < size || back < size) && on != 0))
        bounds_tell_overlap(call, to, from, size);
}
#define APART(to, from, size) bounds_apart(call, to, from, size);
/* The same of a text of `most` characters at most. */
void bounds_apart_text(struct bounds_call call, const char *to, const char *from, size_t most);
#define APART_TEXT(to, from, most) bounds_apart_text(call, to, from, most);

/* A text that is read to its end, or `most` characters of it. */
void bounds_text(struct bounds_call call, const char *text, size_t most);
void bounds_wide_text(struct bounds_call call, const wchar_t *text, size_t most);
#define TEXT(text)                  bounds_text(call, text, BOUNDS_ANY);
#define TEXT_UP_TO(text, most)      bounds_text(call, text, most);
#define WIDE_TEXT(text)             bounds_wide_text(call, text, BOUNDS_ANY);
#define WIDE_TEXT_UP_TO(text, most) bounds_wide_text(call, text, most);
#define TEXT_IF(is_read, text)      bounds_text(call, text, bounds_if(is_read, BOUNDS_ANY));
#define WIDE_TEXT_IF(is_read, text) bounds_wide_text(call, text, bounds_if(is_read, BOUNDS_ANY));

/* At most `most` characters of a text and its end are copied, to behind the end of what is at `to`
 * when it is appended. */
void bounds_copy(struct bounds_call call, char *to, bool appends, const char *from, size_t most);
void bounds_wide_copy(struct bounds_call call, wchar_t *to, bool appends, const wchar_t *from,
                      size_t most);
#define COPIES(to, from)             bounds_copy(call, to, false, from, BOUNDS_ANY);
#define APPENDS(to, from, most)      bounds_copy(call, to, true, from, most);
#define WIDE_COPIES(to, from)        bounds_wide_copy(call, to, false, from, BOUNDS_ANY);
#define WIDE_APPENDS(to, from, most) bounds_wide_copy(call, to, true, from, most);

/* The length of a text, which then is the result. */
#define MEASURES(text)                                                                             \
    {                                                                                              \
        size_t room = bounds_room(call, text);                                                     \
        size_t length = room != BOUNDS_ANY ? NEXT(strnlen)(text, room) : room;                     \
        if (length < room)                                                                         \
            return length;                                                                         \
        if (mm_unlikely(room != BOUNDS_ANY))                                                       \
            bounds_tell(call, text, room + 1, BOUNDS_READS_AT_LEAST);                              \
    }

/* What is read until it is found, `most` units of `unit` bytes at most: `is_found` says whether it
 * is within the `room` that there is. */
#define SEARCHES(in, most, unit, is_found)                                                         \
    {                                                                                              \
        size_t bytes = bounds_room(call, in);                                                      \
        size_t room = bytes / (unit);                                                              \
        if (mm_unlikely(bytes != BOUNDS_ANY && room < (most)) && !(is_found))                      \
            bounds_tell(call, in, (room + 1) * (unit), BOUNDS_READS_AT_LEAST);                     \
    }
void bounds_finds_letter(struct bounds_call call, const char *text, int letter);
void bounds_finds_wide_letter(struct bounds_call call, const wchar_t *text, wchar_t letter);
#define FINDS_LETTER(text, letter)      bounds_finds_letter(call, text, letter);
#define FINDS_WIDE_LETTER(text, letter) bounds_finds_wide_letter(call, text, letter);
#define FINDS_TEXT(text, wanted)                                                                   \
    SEARCHES(text, BOUNDS_ANY, 1,                                                                  \
             NEXT(strnlen)(text, room) < room ||                                                   \
                 NEXT(memmem)(text, room, wanted, NEXT(strlen)(wanted)) != NULL)

/* Two that are read as far as they are the same, `most` units of `unit` bytes at most. There is
 * memory for `room` of them, which is less. */
struct bounds_pair {
    const void *first, *second;
    size_t most, unit;
    enum bounds_function by; /* compares so many units of two */
};
MM_COLD void bounds_compare_short(struct bounds_call call, const struct bounds_pair *pair);
static inline void bounds_compare(struct bounds_call call, const struct bounds_pair pair)
{
    size_t of_first = bounds_room(call, pair.first), of_second = bounds_room(call, pair.second);
    size_t room = bounds_least(of_first, of_second);
    if (mm_unlikely(room != BOUNDS_ANY && room / pair.unit < pair.most))
        bounds_compare_short(call, &pair);
}
#define COMPARES_UNITS(first, second, most, unit, by)                                              \
    bounds_compare(call, (struct bounds_pair){first, second, most, unit, BOUNDS_OF_##by});
#define COMPARES(first, second, most, by) COMPARES_UNITS(first, second, most, 1, by)
#define COMPARES_WIDE(first, second, most, by)                                                     \
    COMPARES_UNITS(first, second, most, sizeof(wchar_t), by)

/* A number in letters is read up to what is none of it, which the caller need not want to know; a
 * base that is none leaves it untold. */
#define STOPS(type, end)                                                                           \
    type *stop = NULL, **const wanted = (end);                                                     \
    (end) = &stop;
#define STOPPED(text)      bounds_stopped(call, text, stop, wanted);
#define WIDE_STOPPED(text) bounds_wide_stopped(call, text, stop, wanted);
void bounds_stopped(struct bounds_call call, const char *text, char *stop, char **wanted);
void bounds_wide_stopped(struct bounds_call call, const wchar_t *text, wchar_t *stop,
                         wchar_t **wanted);
#define READS_NUMBER(text, read)                                                                   \
    if (bounds_room(call, text) != BOUNDS_ANY) {                                                   \
        char *end = NULL;                                                                          \
        (void)(read);                                                                              \
        READS(text, (size_t)(end - (text)) + 1)                                                    \
    }

/* A text that a function left in `size` characters, if it did. */
void bounds_left_text(struct bounds_call call, const char *text, size_t size);
void bounds_left_wide_text(struct bounds_call call, const wchar_t *text, size_t size);
#define LEFT_TEXT_IF(is_there, text, size)                                                         \
    bounds_left_text(call, text, bounds_if(is_there, (size_t)(size)));
#define LEFT_WIDE_TEXT_IF(is_there, text, size)                                                    \
    bounds_left_wide_text(call, text, bounds_if(is_there, (size_t)(size)));

/* `size` bytes in the pieces of a vector. */
struct iovec;
void bounds_vector(struct bounds_call call, const struct iovec *pieces, size_t count, size_t size,
                   enum bounds_how how);

/* What so many messages were received into, or sent from. */
struct mmsghdr;
void bounds_messages(struct bounds_call call, const struct mmsghdr *messages, int count,
                     enum bounds_how how);
#define FILLS_ALL(messages, count)   bounds_messages(call, messages, count, BOUNDS_WRITES);
#define EMPTIES_ALL(messages, count) bounds_messages(call, messages, count, BOUNDS_READS);
/* The same that OPENS says, of all pieces: where these can be read. */
struct msghdr;
void bounds_begin_pieces(struct bounds_call call, const struct iovec *pieces, size_t count);
void bounds_begin_message(struct bounds_call call, const struct msghdr *message);
void bounds_begin_messages(struct bounds_call call, const struct mmsghdr *messages, size_t count);
#define OPENS_PIECES(pieces, count) bounds_begin_pieces(call, pieces, (size_t)(count));
#define OPENS_MESSAGE(message)      bounds_begin_message(call, message);
#define OPENS_ALL(messages, count)  bounds_begin_messages(call, messages, (size_t)(count));
#define FILLS(pieces, count, result)                                                               \
    bounds_vector(call, pieces, (size_t)(count), bounds_done(result), BOUNDS_WRITES);
#define EMPTIES(pieces, count, result)                                                             \
    bounds_vector(call, pieces, (size_t)(count), bounds_done(result), BOUNDS_READS);

/* --- printing and scanning --- */

/* The texts that a format refers to, and what %n writes to. */
void bounds_format(struct bounds_call call, const char *format, va_list list);
void bounds_wide_format(struct bounds_call call, const wchar_t *format, va_list list);
#define FORMAT(format, list)      bounds_format(call, format, list);
#define WIDE_FORMAT(format, list) bounds_wide_format(call, format, list);

/* What `count` conversions of a format were assigned to. */
void bounds_scanned(struct bounds_call call, const char *format, int count, va_list list);
void bounds_wide_scanned(struct bounds_call call, const wchar_t *format, int count, va_list list);
#define SCANNED(format, count, list)      bounds_scanned(call, format, count, list);
#define WIDE_SCANNED(format, count, list) bounds_wide_scanned(call, format, count, list);

/* What is printed into memory; `size` is BOUNDS_ANY where there is no limit. Of a fortified
 * function `flag` and how large the memory is taken to be. */
struct bounds_print {
    bool is_fortified;
    int flag;
    size_t size, whole;
};
#define PLAIN(most) ((struct bounds_print){.size = (most)})
#define FORTIFIED(most, with, all)                                                                 \
    ((struct bounds_print){.is_fortified = true, .flag = (with), .size = (most), .whole = (all)})
#define PRINTS(to, size, format, list) return bounds_print(call, to, PLAIN(size), format, list);
#define PRINTS_FORTIFIED(to, size, flag, whole, format, list)                                      \
    return bounds_print(call, to, FORTIFIED(size, flag, whole), format, list);
#define PRINTS_WIDE(to, how, format, list) return bounds_wide_print(call, to, how, format, list);
int bounds_print(struct bounds_call call, char *to, struct bounds_print how, const char *format,
                 va_list list);
int bounds_wide_print(struct bounds_call call, wchar_t *to, struct bounds_print how,
                      const wchar_t *format, va_list list);

#endif
