/* mapping.h - what is mapped into the process, as /proc/self/maps tells it: an address's mapping,
 * and the program's own file. Allocates nothing, locks nothing. */
#ifndef MM_MAPPING_H
#define MM_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mm_mapping {
    uintptr_t start, end;
    bool readable, writable, shared;
    char *path; /* a place for the file's, cut to fit; empty when it is of none */
    size_t capacity;
};

enum mm_mapping_result { MM_MAPPING_FOUND, MM_MAPPING_NONE, MM_MAPPING_UNREADABLE };
enum mm_mapping_result mm_mapping_find(uintptr_t address, struct mm_mapping *mapping);

/* Where the kernel put the program's arguments and its environment, texts one behind the other;
 * false when it does not tell. */
struct mm_mapping_texts {
    uintptr_t arguments, arguments_end, environment, environment_end;
};
bool mm_mapping_find_texts(struct mm_mapping_texts *texts);

/* Calls back for each, in the order of their addresses; false when the list can't be read. The path
 * is valid meanwhile. What the callback maps may be missed. */
bool mm_mapping_each(void (*each)(const struct mm_mapping *mapping, void *with), void *with);

/* The path of the running program, cut to fit, also of one that was started as an argument of the
 * dynamic linker; "?" when the system does not tell. */
void mm_mapping_program_path(char *path, size_t capacity);

#endif
