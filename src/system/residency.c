/* residency.c - see residency.h. */
#include "system/residency.h"

#include "system/folder.h"
#include "system/kernel.h"
#include <stdatomic.h>
#include <string.h>

#define TEXT 4096u

static _Atomic bool is_open;

bool mm_residency_is_filtered(void)
{
    char text[TEXT];
    mm_folder_text("/proc/thread-self/status", text, TEXT);
    return strstr(text, "\nSeccomp:\t0\n") == NULL;
}

void mm_residency_start(void)
{
    atomic_store_explicit(&is_open, !mm_residency_is_filtered(), memory_order_relaxed);
}

void mm_residency_give_up(void)
{
    atomic_store_explicit(&is_open, false, memory_order_relaxed);
}

bool mm_residency_of(const void *start, size_t size, unsigned char *pages)
{
    return atomic_load_explicit(&is_open, memory_order_relaxed) &&
           mm_kernel_mincore(start, size, pages);
}
