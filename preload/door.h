/* door.h - what libmmshim.so tells libmmshim_bounds.so, and is told by it. Private to these two:
 * the name of the one function that leads there carries a number, which changes with whatever else
 * is here, so that a library of another release finds nothing. */
#ifndef SHIM_DOOR_H
#define SHIM_DOOR_H

#include "checks/bounds.h"
#include "slots/arena.h"
#include "slots/guarded.h"
#include <stdatomic.h>

#define SHIM_DOOR      mmshim_bounds_1
#define SHIM_DOOR_NAME "mmshim_bounds_1"

/* By any thread and in signal handlers, but for telling none of it calls libc. */
struct shim_door {
    uintptr_t start, size; /* of the shim: what it does to guards and what is held is its own */
    const struct mm_arena *arena;
    const struct mm_guarded_pool *guarded;
    const _Atomic uint64_t *changes; /* of forwarded blocks, see registry.h */
    size_t (*room)(uintptr_t address);
    size_t (*room_guarded)(uintptr_t address);
    bool (*outside)(uintptr_t address, struct mm_bounds_range *range);
    void (*tell)(const struct mm_access *access, const void *caller);
    void (*begins)(uintptr_t start, size_t size);
    bool (*is_readable)(const void *at);
};

/* Starts the shim, and the watch. NULL in a copy that stands aside. */
const struct shim_door *SHIM_DOOR(void);
typedef const struct shim_door *shim_door_fn(void);

#endif
