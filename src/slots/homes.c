/* homes.c - rows of heaps, by a hash of their `tls`, linked by `next_there`. */
#include "slots/homes.h"

#include <string.h>

#define HOME_BITS 8u

static struct mm_heap *homes[1u << HOME_BITS];

static struct mm_heap **home_of(struct mm_heap **tls)
{
    return &homes[(uintptr_t)tls * 0x9e3779b97f4a7c15u >> (64 - HOME_BITS)];
}

/* The link to the heap of `tls`, or the one at the row's end. */
static struct mm_heap **link_to(struct mm_heap **tls)
{
    struct mm_heap **link = home_of(tls);
    while (*link != NULL && (*link)->tls != tls)
        link = &(*link)->next_there;
    return link;
}

void mm_homes_add(struct mm_heap *heap)
{
    struct mm_heap **home = home_of(heap->tls);
    MM_ASSERT(mm_homes_find(heap->tls) == NULL);
    heap->next_there = *home;
    *home = heap;
}

void mm_homes_clear(void)
{
    memset(homes, 0, sizeof homes);
}

void mm_homes_remove(struct mm_heap *heap)
{
    struct mm_heap **link = link_to(heap->tls);
    if (*link != NULL)
        *link = heap->next_there;
}

struct mm_heap *mm_homes_find(struct mm_heap **tls)
{
    return *link_to(tls);
}
