/* loaded.h - which of the loaded modules an address lies in, and whether it is still the one that
 * it was.
 *
 * A module that was there when the process began *stays*: it is never unloaded, and may be read as
 * it is. Any other may go at any moment, and another may come to lie in its place: what is read of
 * it is read by peek.h, and what was made of it is kept with a *stamp*, which no other module has.
 *
 * Takes no lock, not the dynamic linker's either, which a callback of dl_iterate_phdr() holds as
 * long as it likes, or a thread that is gone after a fork(). Modules are found by glibc's
 * _dl_find_object() or, before 2.35, by the list that debuggers read. Allocates nothing. */
#ifndef MM_LOADED_H
#define MM_LOADED_H

#include "system/peek.h"
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mm_loaded {
    const struct link_map *map;
    uintptr_t start, end; /* its file header is at the start */
    uintptr_t table;      /* .eh_frame_hdr; 0: it has none */
};

/* While the process begins, by one thread: what is loaded now stays, if `own` is an address in a
 * module that was loaded before libc was. Otherwise the program does, and what was loaded up
 * to libc. */
void mm_loaded_start(const void *own);
/* Modules may come and go from now on. */
void mm_loaded_changed(void);
/* How often that was said. */
uint32_t mm_loaded_changes(void);

/* False: it is in none. */
bool mm_loaded_find(uintptr_t address, struct mm_loaded *found);
bool mm_loaded_stays(const struct mm_loaded *module);
/* The dynamic linker itself; false when it is not known. */
bool mm_loaded_linker(struct mm_loaded *found);

/* The stamp of what lies at an address, in `found` if it is a module, whose map is NULL otherwise.
 * 0: it stays. Who reads it asks after that whether the stamp still holds. */
uint32_t mm_loaded_stamp(uintptr_t address, struct mm_loaded *found);
/* Of a stamp that is not 0. */
bool mm_loaded_is_still(uintptr_t address, uint32_t stamp);
/* Where finding a module takes long: the stamp of all that don't stay, else 0. */
uint32_t mm_loaded_quick_stamp(void);

/* A module that was asked for a stamp, and is not there any more. Of the first ones that are noted;
 * where modules are found by the list, none is. */
struct mm_gone;
/* The last one that held this address; NULL: none is known. */
const struct mm_gone *mm_loaded_gone(uintptr_t address);

#define MM_BUILD_ID_MOST 64u
struct mm_build_id {
    size_t size; /* 0: there is none */
    unsigned char bytes[MM_BUILD_ID_MOST];
};
struct mm_gone {
    _Atomic uint32_t stamp; /* 0: not noted yet; what follows is written before */
    uintptr_t start, end, bias;
    char path[256];
    struct mm_build_id build_id;
};
void mm_loaded_build_id(const struct mm_loaded *module, struct mm_build_id *id);
/* The same of a file's first bytes, at least 4 KiB of memory; false when they do not tell. */
bool mm_loaded_build_id_of_file(const void *head, size_t size, struct mm_build_id *id);

#endif
