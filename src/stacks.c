#include "stacks.h"

bool mm_stacks_history(const void *ptr, struct mm_stack_history *history)
{
    (void)ptr;
    (void)history;
    return false;
}
