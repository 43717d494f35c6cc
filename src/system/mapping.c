/* mapping.c - see mapping.h. Keeps nothing and locks nothing. */
#include "system/mapping.h"

#include "system/os.h"
#include <sys/auxv.h>

/* /proc/self/maps, a character at a time from a small buffer. */
struct reader {
    int fd;
    size_t at, length;
    char buffer[512];
};

static int next_char(struct reader *reader)
{
    if (reader->at == reader->length) {
        reader->length = mm_os_read(reader->fd, reader->buffer, sizeof reader->buffer);
        reader->at = 0;
        if (reader->length == 0)
            return -1;
    }
    return (unsigned char)reader->buffer[reader->at++];
}

static uintptr_t next_hex(struct reader *reader)
{
    uintptr_t value = 0;
    for (;;) {
        int c = next_char(reader);
        if (c >= '0' && c <= '9')
            value = value * 16 + (uintptr_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value * 16 + (uintptr_t)(c - 'a') + 10;
        else
            return value;
    }
}

/* A line is: start-end rwxp offset device inode [path]; see proc(5). */
static bool next_mapping(struct reader *reader, struct mm_mapping *mapping)
{
    mapping->start = next_hex(reader);
    mapping->end = next_hex(reader);
    mapping->readable = next_char(reader) == 'r';
    mapping->writable = next_char(reader) == 'w';
    next_char(reader);
    mapping->shared = next_char(reader) == 's';
    unsigned spaces = 0;
    size_t length = 0;
    int previous = 'w';
    for (int c; (c = next_char(reader)) >= 0 && c != '\n'; previous = c) {
        if (c == ' ' && previous != ' ' && spaces < 4)
            spaces++;
        else if (c != ' ' || length > 0)
            if (spaces == 4 && length + 1 < mapping->capacity)
                mapping->path[length++] = (char)c;
    }
    mapping->path[length] = '\0';
    return mapping->end != 0;
}

static bool each_in(const char *list, void (*each)(const struct mm_mapping *mapping, void *with),
                    void *with)
{
    char path[64];
    struct mm_mapping mapping = {.path = path, .capacity = sizeof path};
    struct reader reader = {.fd = mm_os_open_read(list)};
    unsigned count = 0;
    if (reader.fd < 0)
        return false;
    for (; next_mapping(&reader, &mapping); count++)
        each(&mapping, with);
    mm_os_close(reader.fd);
    return count != 0;
}

/* "self" is the first thread, whose list is empty once it has ended; see mm_os_program_path(). */
#define LIST        "/proc/self/maps"
#define THREAD_LIST "/proc/thread-self/maps"

bool mm_mapping_each(void (*each)(const struct mm_mapping *mapping, void *with), void *with)
{
    return each_in(LIST, each, with) || each_in(THREAD_LIST, each, with);
}

static enum mm_mapping_result look_in(const char *list, uintptr_t address,
                                      struct mm_mapping *mapping)
{
    struct reader reader = {.fd = mm_os_open_read(list)};
    enum mm_mapping_result result = MM_MAPPING_UNREADABLE;
    if (reader.fd < 0)
        return result;
    while (result != MM_MAPPING_FOUND && next_mapping(&reader, mapping)) {
        bool is_it = address >= mapping->start && address < mapping->end;
        result = is_it ? MM_MAPPING_FOUND : MM_MAPPING_NONE;
    }
    mm_os_close(reader.fd);
    return result;
}

enum mm_mapping_result mm_mapping_find(uintptr_t address, struct mm_mapping *mapping)
{
    enum mm_mapping_result result = look_in(LIST, address, mapping);
    return result == MM_MAPPING_UNREADABLE ? look_in(THREAD_LIST, address, mapping) : result;
}

/* Fields 48 to 51 of /proc/self/stat, see proc(5); the second one, a name in brackets, may have
 * anything in it: its end is the last bracket. */
bool mm_mapping_find_texts(struct mm_mapping_texts *texts)
{
    struct reader reader = {.fd = mm_os_open_read("/proc/self/stat")};
    uintptr_t *const fields[] = {&texts->arguments, &texts->arguments_end, &texts->environment,
                                 &texts->environment_end};
    unsigned field = 0;
    *texts = (struct mm_mapping_texts){0};
    if (reader.fd < 0)
        return false;
    for (int c; (c = next_char(&reader)) >= 0;) {
        if (c == ')')
            field = 2;
        else if (c == ' ' && field > 0)
            field++;
        else if (field >= 48 && field < 52 && c >= '0' && c <= '9')
            *fields[field - 48] = *fields[field - 48] * 10 + (uintptr_t)(c - '0');
    }
    mm_os_close(reader.fd);
    return texts->arguments != 0;
}

/* Where the kernel started the dynamic linker as the program, that is what it tells of it. */
void mm_mapping_program_path(char *path, size_t capacity)
{
    struct mm_mapping mapping = {.path = path, .capacity = capacity};
    if (getauxval(AT_BASE) != 0 ||
        mm_mapping_find(getauxval(AT_PHDR), &mapping) != MM_MAPPING_FOUND || path[0] != '/')
        mm_os_program_path(path, capacity);
}
