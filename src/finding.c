#include "finding.h"

#include <string.h>

#define ROOM_FOR_MODULES 16384u /* in the names of a finding, which symbols leave */

const char *mm_finding_kind(enum mem_mngr_misuse_kind kind)
{
    static const char *const names[] = {"double-free", "interior-free", "foreign-free"};
    return names[kind];
}

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

static const char *keep_text(struct mm_names *names, const char *text, size_t left)
{
    return text != NULL ? keep(names, text, strlen(text), left) : NULL;
}

/* Without room a frame has no symbol, but still its module. */
static void keep_names(struct mm_names *names, struct mm_place *place)
{
    place->module = keep_text(names, place->module, 0);
    place->symbol = keep_text(names, place->symbol, ROOM_FOR_MODULES);
    if (place->build_id_size > 0)
        place->build_id = (const void *)keep(names, place->build_id, place->build_id_size, 0);
    if (place->build_id == NULL)
        place->build_id_size = 0;
}

void mm_trace_take(struct mm_trace *trace, const void *const *frames, unsigned count,
                   const char *program, struct mm_names *names)
{
    trace->count = count < MM_TRACE_MAX ? count : MM_TRACE_MAX;
    for (unsigned i = 0; i < trace->count; i++) {
        trace->frames[i] = (struct mm_frame){.address = frames[i]};
        mm_module_place(frames[i], program, &trace->frames[i].place, &names->place);
        keep_names(names, &trace->frames[i].place);
    }
}
