/* out.c - text put together byte by byte; the caller's buffer is all that there is. */
#include "system/out.h"

#include "system/assert.h"
#include "system/os.h"
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

void mm_out_start(struct mm_out *out, char *buffer, size_t capacity)
{
    *out = (struct mm_out){.buffer = buffer, .capacity = capacity, .fd = -1};
    buffer[0] = '\0';
}

void mm_out_to_file(struct mm_out *out, char *buffer, size_t capacity, int fd)
{
    mm_out_start(out, buffer, capacity);
    out->fd = fd;
}

void mm_out_flush(struct mm_out *out)
{
    mm_os_write(out->fd, out->buffer, out->length);
    out->length = 0;
}

static void put(struct mm_out *out, char c)
{
    MM_ASSERT(out->length < out->capacity);
    if (out->length + 1 == out->capacity) {
        if (out->fd < 0)
            return;
        mm_out_flush(out);
    }
    out->buffer[out->length++] = c;
    out->buffer[out->length] = '\0';
}

static void put_text(struct mm_out *out, const char *text)
{
    while (*text != '\0')
        put(out, *text++);
}

/* Bytes of the character that starts here, as its first byte says; 0 for none that starts one. */
static size_t claimed_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first < 0xe0)
        return 2;
    if (first >= 0xe0 && first < 0xf0)
        return 3;
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/* The second byte is one of fewer after some first ones: no longer form than needed, no surrogates,
 * nothing beyond U+10FFFF. */
static bool is_second(unsigned char first, unsigned char second)
{
    unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return second >= least && second <= most;
}

/* Looks no further than a NUL. */
size_t mm_out_character(const char *text)
{
    size_t length = claimed_length((unsigned char)text[0]);
    if (length < 2)
        return length;
    if (!is_second((unsigned char)text[0], (unsigned char)text[1]))
        return 0;
    for (size_t i = 2; i < length; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

/* Those of ASCII, and U+0080 to U+009F: ESC [ and the like in one character. */
bool mm_out_is_control(const char *text)
{
    unsigned char first = (unsigned char)text[0];
    return first < ' ' || first == 0x7f || (first == 0xc2 && (unsigned char)text[1] < 0xa0);
}

/* The longest start of a text that ends between two characters. */
static size_t cut_to(const char *text, size_t most)
{
    size_t length = 0;
    while (text[length] != '\0') {
        size_t bytes = mm_out_character(text + length);
        if (length + (bytes > 0 ? bytes : 1) > most)
            break;
        length += bytes > 0 ? bytes : 1;
    }
    return length;
}

void mm_out_part(struct mm_out *out, const char *text, size_t length)
{
    for (size_t at = 0, bytes; at<length; at += bytes> 0 ? bytes : 1) {
        bytes = mm_out_character(text + at);
        if (bytes == 0 || bytes > length - at || mm_out_is_control(text + at))
            put(out, '?');
        else
            for (size_t i = 0; i < bytes; i++)
                put(out, text[at + i]);
    }
}

void mm_out_cut(struct mm_out *out, const char *text, size_t most)
{
    size_t end = cut_to(text, most);
    mm_out_part(out, text, end);
    if (text[end] != '\0')
        put_text(out, "...");
}

void mm_out_shorten(struct mm_out *out, size_t before, size_t most)
{
    if (out->length - before <= most)
        return;
    mm_out_back_to(out, before + cut_to(out->buffer + before, most));
    put_text(out, "...");
}

void mm_out_count(struct mm_out *out, uint64_t count, const char *one, const char *more)
{
    mm_out_format(out, "%u %s", count, count == 1 ? one : more);
}

void mm_out_grouped(struct mm_out *out, uint64_t number)
{
    uint64_t unit = 1;
    while (number / unit >= 1000)
        unit *= 1000;
    mm_out_format(out, "%u", number / unit);
    while ((unit /= 1000) > 0) {
        uint64_t group = number / unit % 1000;
        mm_out_format(out, ",%u%u%u", group / 100, group / 10 % 10, group % 10);
    }
}

void mm_out_bytes(struct mm_out *out, uint64_t count)
{
    mm_out_count(out, count, "byte", "bytes");
}

void mm_out_hex(struct mm_out *out, const unsigned char *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        put(out, digits[bytes[i] >> 4]);
        put(out, digits[bytes[i] & 15]);
    }
}

size_t mm_out_left(const struct mm_out *out)
{
    return out->capacity - out->length - 1;
}

void mm_out_back_to(struct mm_out *out, size_t length)
{
    MM_ASSERT(length <= out->length && out->fd < 0);
    out->length = length;
    out->buffer[length] = '\0';
}

static void put_number(struct mm_out *out, uint64_t value, unsigned base)
{
    char digits[20];
    unsigned count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count > 0)
        put(out, digits[--count]);
}

static void put_signed(struct mm_out *out, int64_t value)
{
    if (value < 0)
        put(out, '-');
    put_number(out, value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

static void format_v(struct mm_out *out, const char *format, va_list arguments)
{
    for (const char *at = format; *at != '\0'; at++) {
        if (*at != '%') {
            put(out, *at);
            continue;
        }
        switch (*++at) {
        case 's':
            put_text(out, va_arg(arguments, const char *));
            break;
        case 'c':
            put(out, (char)va_arg(arguments, int));
            break;
        case 'u':
            put_number(out, va_arg(arguments, uint64_t), 10);
            break;
        case 'd':
            put_signed(out, va_arg(arguments, int64_t));
            break;
        case 'x':
            put_text(out, "0x");
            put_number(out, va_arg(arguments, uint64_t), 16);
            break;
        default:
            put(out, '%');
        }
    }
}

void mm_out_format(struct mm_out *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    format_v(out, format, arguments);
    va_end(arguments);
}

void mm_out_thread(struct mm_out *out, pid_t thread, const char *name)
{
    mm_out_format(out, "thread %u (", (uint64_t)thread);
    mm_out_cut(out, name, MM_THREAD_NAME);
    mm_out_format(out, ")");
}
