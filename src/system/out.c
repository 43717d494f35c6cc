#include "system/out.h"

#include "system/os.h"
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

void mm_out_cut(struct mm_out *out, const char *text, size_t most)
{
    for (size_t i = 0; i < most && text[i] != '\0'; i++)
        put(out, (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i]);
    if (strlen(text) > most)
        put_text(out, "...");
}

void mm_out_hex(struct mm_out *out, const unsigned char *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        put(out, digits[bytes[i] >> 4]);
        put(out, digits[bytes[i] & 15]);
    }
}

size_t mm_out_room(const struct mm_out *out)
{
    return out->capacity - out->length - 1;
}

void mm_out_back_to(struct mm_out *out, size_t length)
{
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

void mm_out_format_v(struct mm_out *out, const char *format, va_list arguments)
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
    mm_out_format_v(out, format, arguments);
    va_end(arguments);
}
