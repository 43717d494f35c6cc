#include "backtrace.h"

#include <stddef.h>
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
