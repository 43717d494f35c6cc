/* variables.c - see variables.h. Only variables that lie in the frame as a whole are
 * known, as those do whose address is taken. */
#include "launcher/variables.h"

#include <dwarf.h>
#include <stdlib.h>

/* How far above the frame's end a register is at that instruction. */
static bool above_end(const struct variable_place *place, unsigned number, int64_t *distance)
{
    Dwarf_Frame *frame;
    Dwarf_Op *operations;
    size_t count;
    if (place->rules == NULL ||
        dwarf_cfi_addrframe(place->rules, place->rules_address, &frame) != 0)
        return false;
    bool known = dwarf_frame_cfa(frame, &operations, &count) == 0 && count == 1 &&
                 operations->atom == DW_OP_bregx && operations->number == number;
    if (known)
        *distance = -(int64_t)operations->number2;
    free(frame);
    return known;
}

/* From the frame's end to what variables are counted from. */
static bool find_base(const struct variable_place *place, int64_t *base)
{
    Dwarf_Attribute attribute;
    Dwarf_Op *operations;
    size_t count;
    Dwarf_Die function = place->function;
    if (dwarf_attr_integrate(&function, DW_AT_frame_base, &attribute) == NULL ||
        dwarf_getlocation_addr(&attribute, place->address, &operations, &count, 1) != 1 ||
        count != 1)
        return false;
    *base = 0;
    if (operations->atom == DW_OP_call_frame_cfa)
        return true;
    return operations->atom >= DW_OP_reg0 && operations->atom <= DW_OP_reg31 &&
           above_end(place, operations->atom - DW_OP_reg0, base);
}

/* 1 where nothing is told. */
static uint64_t size_of(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    Dwarf_Die type;
    Dwarf_Word size;
    if (dwarf_formref_die(dwarf_attr_integrate(die, DW_AT_type, &attribute), &type) == NULL ||
        dwarf_aggregate_size(&type, &size) != 0)
        return 1;
    return size;
}

/* From the frame's end to where an expression says that a variable is. */
static bool find_start(const struct variable_place *place, const Dwarf_Op *operation,
                       int64_t *start)
{
    bool known = operation->atom == DW_OP_fbreg
                     ? find_base(place, start)
                     : operation->atom >= DW_OP_breg0 && operation->atom <= DW_OP_breg31 &&
                           above_end(place, operation->atom - DW_OP_breg0, start);
    *start = known ? *start + (int64_t)operation->number : 0;
    return known;
}

/* Else the variable stays as it is: an outer scope may have found one. */
static bool is_there(Dwarf_Die *die, const struct variable_place *place, struct variable *variable)
{
    Dwarf_Attribute attribute;
    Dwarf_Op *operations;
    size_t count;
    int64_t start;
    if (dwarf_attr_integrate(die, DW_AT_location, &attribute) == NULL ||
        dwarf_getlocation_addr(&attribute, place->address, &operations, &count, 1) != 1 ||
        count != 1 || !find_start(place, operations, &start))
        return false;
    uint64_t inside = (uint64_t)(place->offset - start), size = size_of(die);
    if (inside >= size)
        return false;
    variable->die = *die;
    variable->inside = inside;
    variable->size = size;
    return true;
}

static bool is_scope(int tag)
{
    return tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine;
}

static bool find_below(Dwarf_Die *scope, Dwarf_Die *function, const struct variable_place *place,
                       struct variable *variable)
{
    Dwarf_Die die, inner;
    bool found = false;
    if (dwarf_child(scope, &die) != 0)
        return false;
    do {
        int tag = dwarf_tag(&die);
        inner = tag == DW_TAG_inlined_subroutine ? die : *function;
        if (is_scope(tag) && dwarf_haspc(&die, place->address) > 0 &&
            find_below(&die, &inner, place, variable))
            return true;
        if ((tag == DW_TAG_variable || tag == DW_TAG_formal_parameter) && !found &&
            is_there(&die, place, variable)) {
            variable->function = *function;
            found = true;
        }
    } while (dwarf_siblingof(&die, &die) == 0);
    return found;
}

bool variable_find(const struct variable_place *place, struct variable *variable)
{
    Dwarf_Die function = place->function;
    return find_below(&function, &function, place, variable);
}
