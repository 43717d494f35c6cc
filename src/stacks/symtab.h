/* symtab.h - names of places that a module's loaded tables don't tell: from the table of all
 * symbols, static ones among them, that an unstripped program or library has in its file.
 *
 * The file may be another one by now: it is the module's when it has the same build-id, or is what
 * the kernel says the program was started from. Allocates nothing, locks nothing. */
#ifndef MM_SYMTAB_H
#define MM_SYMTAB_H

#include "stacks/module.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Read by one thread, piece by piece, through a window of its own. */
struct mm_symtab {
    int fd;
    uint64_t symbols, symbols_size, names, names_size; /* places in the file */
    unsigned char window[16384];
};
/* False when there is no such file, or no such table in it: nothing is open then. `program` is the
 * path of the program itself. */
bool mm_symtab_open(struct mm_symtab *symtab, const struct mm_place *place, const char *program);
void mm_symtab_close(struct mm_symtab *symtab);

/* A place in the module, and the symbol that spans it. */
struct mm_symtab_place {
    uint64_t offset, start, size, name;
    bool found;
};
/* All in one pass. */
void mm_symtab_search(struct mm_symtab *symtab, struct mm_symtab_place *places, unsigned count);
/* The name of one that was found, cut to fit; false when it cannot be read. */
bool mm_symtab_name(struct mm_symtab *symtab, const struct mm_symtab_place *place, char *name,
                    size_t capacity);

#endif
