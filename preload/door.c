/* door.c - see door.h. Owns nothing. */
#include "door.h"

#include "entry/access.h"
#include "entry/process.h"
#include "forwarded/registry.h"
#include "lookup.h"

#define EXPORT __attribute__((visibility("default")))

/* The linker makes them: where this module begins and ends. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

EXPORT const struct shim_door *SHIM_DOOR(void)
{
    static struct shim_door door = {
        .start = (uintptr_t)__ehdr_start,
        .arena = &mm_arena,
        .guarded = &mm_guarded,
        .changes = &mm_registry_changes,
        .room = mm_bounds_room,
        .room_guarded = mm_bounds_room_guarded,
        .outside = mm_bounds_outside,
        .tell = mm_access_tell,
        .begins = mm_access_begins,
        .is_readable = mm_os_is_readable,
    };
    door.size = (uintptr_t)_end - (uintptr_t)__ehdr_start;
    if (shim_is_aside())
        return NULL;
    mm_process_heap();
    mm_bounds_start();
    return &door;
}
