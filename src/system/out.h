/* out.h - formatted text without malloc, stdio or locale, for reports and snapshots. */
#ifndef MM_OUT_H
#define MM_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Text being put together in a buffer of the caller's. What does not fit is cut off; with
 * mm_out_to_file() the buffer is written out instead whenever it is full. */
struct mm_out {
    char *buffer;
    size_t capacity;
    size_t length;
    int fd; /* -1: none */
};

void mm_out_start(struct mm_out *out, char *buffer, size_t capacity);
void mm_out_to_file(struct mm_out *out, char *buffer, size_t capacity, int fd);
/* Writes out what is left (only after mm_out_to_file). */
void mm_out_flush(struct mm_out *out);

/* Bytes of the valid UTF-8 character at `text`, 0 when there is none. A NUL is one. */
size_t mm_out_character(const char *text);
/* Whether the character at `text` is one that a terminal obeys. */
bool mm_out_is_control(const char *text);

/* A text from outside, cut to `most` bytes with an ellipsis, with a ? for each control character
 * and each byte that is part of none. */
void mm_out_cut(struct mm_out *out, const char *text, size_t most);

/* The first bytes of such a text. */
void mm_out_part(struct mm_out *out, const char *text, size_t length);
/* What was written from a former length on is cut in the same way. Not with mm_out_to_file(). */
void mm_out_shorten(struct mm_out *out, size_t before, size_t most);

/* "thread N (name)". */
void mm_out_thread(struct mm_out *out, pid_t thread, const char *name);

/* "1 byte", "2 bytes": a number and what it is of. */
void mm_out_count(struct mm_out *out, uint64_t count, const char *one, const char *more);
void mm_out_bytes(struct mm_out *out, uint64_t count);
/* "1,204,332" */
void mm_out_grouped(struct mm_out *out, uint64_t number);

/* Bytes, two hexadecimal digits each. */
void mm_out_hex(struct mm_out *out, const unsigned char *bytes, size_t count);

/* Characters that still fit; and taking back all from a former length on. Not with
 * mm_out_to_file(). */
size_t mm_out_left(const struct mm_out *out);
void mm_out_back_to(struct mm_out *out, size_t length);

/* Knows %s, %c, %u (uint64_t), %d (int64_t), %x (uint64_t, as 0x...) and %%. The text in the
 * buffer always ends in a NUL. */
void mm_out_format(struct mm_out *out, const char *format, ...);

#endif
