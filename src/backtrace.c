#include "backtrace.h"

#include "os.h"
#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <unwind.h>

struct walk {
    const void **frames;
    const void *caller;
    unsigned count;
};

/* Frames are return addresses; a byte before one is inside the call, and so in its line. */
static const void *inside_call(const void *return_address)
{
    return (const char *)return_address - 1;
}

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *argument)
{
    struct walk *walk = argument;
    const void *address = (const void *)_Unwind_GetIP(context);
    if (address == NULL)
        return _URC_END_OF_STACK;
    if (address == walk->caller)
        walk->count = 0; /* what came before it are frames of ours */
    if (walk->count < MM_FRAMES_MAX)
        walk->frames[walk->count++] = inside_call(address);
    return _URC_NO_REASON;
}

unsigned mm_backtrace(const void *caller, const void *frames[static MM_FRAMES_MAX])
{
    struct walk walk = {.frames = frames, .caller = caller};
    if (caller == NULL)
        return 0;
    _Unwind_Backtrace(step, &walk);
    if (walk.count == 0 || frames[0] != inside_call(caller)) {
        frames[0] = inside_call(caller);
        walk.count = 1;
    }
    return walk.count;
}

void mm_backtrace_symbol(struct mm_symbol *symbol, const void *address)
{
    Dl_info info;
    struct link_map *map;
    symbol->module = symbol->name = NULL;
    if (dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) == 0)
        return;
    symbol->module = info.dli_fname;
    symbol->module_offset = (size_t)((const char *)address - (const char *)info.dli_fbase);
    symbol->name = info.dli_sname;
    symbol->offset = (size_t)((const char *)address - (const char *)info.dli_saddr);
    /* The program itself has no name there, and goes by argv[0], which need not be a path. */
    if (map->l_name[0] == '\0') {
        mm_os_program_path(symbol->path, sizeof symbol->path);
        symbol->module = symbol->path;
    }
}

void mm_backtrace_place(struct mm_out *out, const void *address)
{
    struct mm_symbol symbol;
    mm_backtrace_symbol(&symbol, address);
    if (symbol.name != NULL) {
        mm_out_format(out, " in ");
        mm_out_cut(out, symbol.name, MM_SYMBOL_SHOWN);
        mm_out_format(out, "+%x", (uint64_t)symbol.offset);
    }
    if (symbol.module != NULL) {
        mm_out_format(out, " (");
        mm_out_cut(out, symbol.module, MM_PATH_SHOWN);
        mm_out_format(out, "+%x)", (uint64_t)symbol.module_offset);
    }
}
