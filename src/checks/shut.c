/* shut.c - see shut.h. The range only grows. */
#include "checks/shut.h"

#include "slots/arena.h"
#include "slots/guarded.h"
#include "system/os.h"

struct mm_shut mm_shut;

static bool is_of_a_block(uintptr_t start, uintptr_t last)
{
    struct mm_forwarded block;
    return mm_guarded_has(start) || mm_arena_has(start) || mm_arena_has(last) ||
           mm_registry_around((const void *)start, &block) ||
           mm_registry_around((const void *)last, &block);
}

static void lower(_Atomic uintptr_t *value, uintptr_t to)
{
    uintptr_t now = atomic_load_explicit(value, memory_order_relaxed);
    while ((now == 0 || to < now) &&
           !atomic_compare_exchange_weak_explicit(value, &now, to, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

/* Release: who sees this end sees the start that belongs to it, or one below. */
static void raise_to(_Atomic uintptr_t *value, uintptr_t to)
{
    uintptr_t now = atomic_load_explicit(value, memory_order_relaxed);
    while (to > now && !atomic_compare_exchange_weak_explicit(value, &now, to, memory_order_release,
                                                              memory_order_relaxed))
        ;
}

void mm_shut_note(const void *start, size_t size)
{
    uintptr_t mask = mm_os_page_size() - 1;
    uintptr_t first = mm_os_untagged(start), end = (first + size + mask) & ~mask;
    if (first >= end || !is_of_a_block(first, end - 1))
        return;
    lower(&mm_shut.start, first);
    raise_to(&mm_shut.end, end);
}

void mm_shut_forget(void)
{
    atomic_store(&mm_shut.end, 0);
    atomic_store(&mm_shut.start, 0);
}

/* Whole pages from its start on; mprotect() rounds the last one up, as we do. */
void mm_shut_open(const struct mm_block *block)
{
    if (mm_likely(atomic_load_explicit(&mm_shut.end, memory_order_relaxed) == 0))
        return;
    uintptr_t mask = mm_os_page_size() - 1, start = mm_os_untagged((const void *)block->start);
    uintptr_t first = (start + mask) & ~mask, end = (start + block->asked + mask) & ~mask;
    if (mm_shut_has(first, end))
        mm_os_commit((void *)first, end - first);
}
