/* module.h - the program or library that an address lies in: its path and build-id, and the
 * exported symbol there.
 *
 * Read from the module's own tables, without a lock: a thread that waits for the one that reports
 * may be inside dlopen(). Allocates nothing. Of a module that may be unloaded meanwhile all that is
 * told is a copy. */
#ifndef MM_MODULE_H
#define MM_MODULE_H

#include "stacks/loaded.h"
#include "system/out.h"
#include <stdint.h>

/* Characters shown of a name and of a path: in C++ one name may be longer than a report. */
#define MM_SYMBOL_SHOWN 256u
#define MM_PATH_SHOWN   400u

struct mm_place {
    const char *module;   /* path; NULL when the address is in none */
    size_t module_offset; /* from where its addresses count: what tools take as the address */
    const char *symbol;   /* NULL when no exported one spans the address */
    size_t symbol_offset;
    const unsigned char *build_id;
    size_t build_id_size; /* 0: it has none */
    bool unloaded;        /* the module is not there any more */
};

/* What a place refers to where it is a copy. */
struct mm_place_text {
    char module[4096], symbol[4096]; /* cut to fit */
    struct mm_build_id build_id;
};

/* The module that holds an address, by a pointer that is its own; NULL: none. */
const void *mm_module_of(const void *address);
/* `program` is the path of the program itself, which its own entry does not tell. */
void mm_module_place(const void *address, const char *program, struct mm_place *place,
                     struct mm_place_text *text);

/* Writes " (module+0xoff)" as far as it is known. */
void mm_module_write_offset(struct mm_out *out, const struct mm_place *place);

#endif
