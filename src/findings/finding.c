/* finding.c - what a frame shows, with names that outlive their modules. All is the caller's. */
#include "findings/finding.h"

#include "findings/own.h"
#include <string.h>

#define LEFT_TO_MODULES 16384u /* by symbols, in the names of a finding */
#define WHOLE_SYMBOLS   24576u /* bytes up to which none is cut, for suppressions to match */
#define SYMBOL_KEPT     1040u  /* of the others: more than any report shows */

/* A copy that ends in a zero; the same one for the same bytes, so that a module is known by its
 * name's address. NULL when less than `left` would be left. */
static const char *keep(struct mm_names *names, const void *bytes, size_t size, size_t left)
{
    const char *end = names->text + names->used;
    for (const char *at = names->text; at < end; at += strlen(at) + 1) {
        if (size < (size_t)(end - at) && memcmp(at, bytes, size) == 0 && at[size] == '\0')
            return at;
    }
    if (size + left >= sizeof names->text - names->used)
        return NULL;
    char *copy = names->text + names->used;
    memcpy(copy, bytes, size);
    copy[size] = '\0';
    names->used += size + 1;
    return copy;
}

static const char *keep_text(struct mm_names *names, const char *text)
{
    return text != NULL ? keep(names, text, strlen(text), 0) : NULL;
}

static const char *keep_symbol(struct mm_names *names, const char *symbol)
{
    size_t size = symbol != NULL ? strlen(symbol) : 0;
    if (size > SYMBOL_KEPT && names->used + size >= WHOLE_SYMBOLS)
        size = SYMBOL_KEPT;
    return symbol != NULL ? keep(names, symbol, size, LEFT_TO_MODULES) : NULL;
}

/* A frame whose symbol does not fit has none, but still its module. */
static void keep_names(struct mm_names *names, struct mm_place *place)
{
    place->module = keep_text(names, place->module);
    place->symbol = keep_symbol(names, place->symbol);
    if (place->build_id_size > 0)
        place->build_id = (const void *)keep(names, place->build_id, place->build_id_size, 0);
    if (place->build_id == NULL)
        place->build_id_size = 0;
}

void mm_trace_take(struct mm_trace *trace, const void *const *frames, unsigned count,
                   const char *program, struct mm_names *names)
{
    trace->count = 0;
    for (unsigned i = 0; i < count && trace->count < MM_TRACE_MAX; i++) {
        struct mm_frame *frame = &trace->frames[trace->count];
        *frame = (struct mm_frame){.address = frames[i]};
        mm_module_place(frames[i], program, &frame->place, &names->place);
        bool is_last_hope = trace->count == 0 && i + 1 == count;
        if (mm_own_is_aside(frame->place.module) && !is_last_hope)
            continue;
        keep_names(names, &frame->place);
        trace->count++;
    }
}

/* --- static functions --- */

static bool is_nameless(const struct mm_frame *frame)
{
    return frame->place.module != NULL && frame->place.symbol == NULL;
}

/* Those of one module: its name is one text. */
static unsigned list_nameless(struct mm_trace *const *traces, unsigned count, const char *module,
                              struct mm_names *names)
{
    unsigned listed = 0;
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < traces[i]->count; j++) {
            struct mm_frame *frame = &traces[i]->frames[j];
            if (!is_nameless(frame) || frame->place.module != module)
                continue;
            names->places[listed] = (struct mm_symtab_place){.offset = frame->place.module_offset};
            names->nameless[listed++] = frame;
        }
    }
    return listed;
}

static void name_module(struct mm_trace *const *traces, unsigned count,
                        const struct mm_place *place, const char *program, struct mm_names *names)
{
    if (!mm_symtab_open(&names->symtab, place, program))
        return;
    unsigned listed = list_nameless(traces, count, place->module, names);
    mm_symtab_search(&names->symtab, names->places, listed);
    for (unsigned i = 0; i < listed; i++) {
        struct mm_symtab_place *found = &names->places[i];
        struct mm_place *named = &names->nameless[i]->place;
        if (!mm_symtab_name(&names->symtab, found, names->place.symbol, sizeof names->place.symbol))
            continue;
        named->symbol = keep_symbol(names, names->place.symbol);
        named->symbol_offset = found->offset - found->start;
    }
    mm_symtab_close(&names->symtab);
}

void mm_traces_name(struct mm_trace *const *traces, unsigned count, const char *program,
                    struct mm_names *names)
{
    const char *last = NULL; /* modules mostly come in a row; one without a table is soon done */
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < traces[i]->count; j++) {
            struct mm_frame *frame = &traces[i]->frames[j];
            if (!is_nameless(frame) || frame->place.module == last)
                continue;
            last = frame->place.module;
            name_module(traces, count, &frame->place, program, names);
        }
    }
}
