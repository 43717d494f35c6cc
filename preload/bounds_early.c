/* bounds_early.c - see bounds_early.h. Owns nothing, and refers to nothing. */
#include "bounds_early.h"

#include <stdint.h>

void *bounds_early_memmove(void *to, const void *from, size_t size)
{
    unsigned char *target = to;
    const unsigned char *source = from;
    if ((uintptr_t)to - (uintptr_t)from >= size) {
        for (size_t i = 0; i < size; i++)
            target[i] = source[i];
    } else {
        for (size_t i = size; i-- > 0;)
            target[i] = source[i];
    }
    return to;
}

void *bounds_early_memcpy(void *to, const void *from, size_t size)
{
    return bounds_early_memmove(to, from, size);
}

void *bounds_early_mempcpy(void *to, const void *from, size_t size)
{
    return (char *)bounds_early_memmove(to, from, size) + size;
}

void *bounds_early_memset(void *to, int byte, size_t size)
{
    unsigned char *target = to;
    for (size_t i = 0; i < size; i++)
        target[i] = (unsigned char)byte;
    return to;
}

int bounds_early_memcmp(const void *first, const void *second, size_t size)
{
    const unsigned char *left = first, *right = second;
    for (size_t i = 0; i < size; i++) {
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    }
    return 0;
}

void *bounds_early_memchr(const void *in, int byte, size_t size)
{
    const unsigned char *at = in;
    for (size_t i = 0; i < size; i++) {
        if (at[i] == (unsigned char)byte)
            return (void *)(uintptr_t)(at + i);
    }
    return NULL;
}

void *bounds_early_memrchr(const void *in, int byte, size_t size)
{
    const unsigned char *at = in;
    while (size-- > 0) {
        if (at[size] == (unsigned char)byte)
            return (void *)(uintptr_t)(at + size);
    }
    return NULL;
}

void *bounds_early_rawmemchr(const void *in, int byte)
{
    return bounds_early_memchr(in, byte, SIZE_MAX);
}

size_t bounds_early_strnlen(const char *text, size_t most)
{
    size_t length = 0;
    while (length < most && text[length] != '\0')
        length++;
    return length;
}

size_t bounds_early_strlen(const char *text)
{
    return bounds_early_strnlen(text, SIZE_MAX);
}

char *bounds_early_stpcpy(char *to, const char *from)
{
    for (; *from != '\0'; to++, from++)
        *to = *from;
    *to = '\0';
    return to;
}

char *bounds_early_strcpy(char *to, const char *from)
{
    bounds_early_stpcpy(to, from);
    return to;
}

char *bounds_early_strncpy(char *to, const char *from, size_t size)
{
    size_t length = bounds_early_strnlen(from, size);
    bounds_early_memmove(to, from, length);
    bounds_early_memset(to + length, 0, size - length);
    return to;
}

char *bounds_early_strcat(char *to, const char *from)
{
    bounds_early_stpcpy(to + bounds_early_strlen(to), from);
    return to;
}

char *bounds_early_strncat(char *to, const char *from, size_t most)
{
    size_t length = bounds_early_strnlen(from, most);
    char *end = to + bounds_early_strlen(to);
    bounds_early_memmove(end, from, length);
    end[length] = '\0';
    return to;
}

int bounds_early_strncmp(const char *first, const char *second, size_t most)
{
    size_t i = 0;
    while (i < most && first[i] == second[i] && first[i] != '\0')
        i++;
    return i < most ? (int)(unsigned char)first[i] - (int)(unsigned char)second[i] : 0;
}

int bounds_early_strcmp(const char *first, const char *second)
{
    return bounds_early_strncmp(first, second, SIZE_MAX);
}

char *bounds_early_strchrnul(const char *text, int letter)
{
    while (*text != '\0' && *text != (char)letter)
        text++;
    return (char *)(uintptr_t)text;
}

char *bounds_early_strchr(const char *text, int letter)
{
    char *found = bounds_early_strchrnul(text, letter);
    return *found == (char)letter ? found : NULL;
}

char *bounds_early_strrchr(const char *text, int letter)
{
    return bounds_early_memrchr(text, letter, bounds_early_strlen(text) + 1);
}

char *bounds_early_strstr(const char *text, const char *wanted)
{
    size_t length = bounds_early_strlen(wanted);
    for (;; text++) {
        if (bounds_early_strncmp(text, wanted, length) == 0)
            return (char *)(uintptr_t)text;
        if (*text == '\0')
            return NULL;
    }
}

size_t bounds_early_strlcpy(char *to, const char *from, size_t size)
{
    size_t length = bounds_early_strlen(from), kept = length < size ? length : size - 1;
    if (size != 0) {
        bounds_early_memmove(to, from, kept);
        to[kept] = '\0';
    }
    return length;
}

size_t bounds_early_strlcat(char *to, const char *from, size_t size)
{
    size_t before = bounds_early_strnlen(to, size);
    return before + bounds_early_strlcpy(to + before, from, size - before);
}
