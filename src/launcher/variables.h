/* variables.h - of mmshim-symbolize: the variable of a function that lies at a place in its frame.
 */
#ifndef LAUNCHER_VARIABLES_H
#define LAUNCHER_VARIABLES_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stdint.h>

/* An instruction and a place in the frame of its function, both in the debugging information's
 * terms. */
struct variable_place {
    Dwarf_Die function; /* the one with code of its own */
    uint64_t address;
    int64_t offset; /* from the frame's end, DWARF's CFA, on */
    Dwarf_CFI *rules;
    uint64_t rules_address; /* the instruction as the rules count */
};

struct variable {
    Dwarf_Die die, function; /* that declares it: perhaps one that is inlined there */
    uint64_t inside, size;   /* in bytes */
};

/* Among those whose scope the instruction is in, the innermost first. */
bool variable_find(const struct variable_place *place, struct variable *variable);

#endif
