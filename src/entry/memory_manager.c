/* memory_manager.c - the library's functions, one forward each into the core; how it starts where
 * the shim reads the environment. Keeps nothing and locks nothing of its own: see memory_manager.h
 * for what may be called when. */
#include "memory_manager.h"

#include "entry/process.h"
#include "entry/route.h"
#include "forwarded/registry.h"
#include "system/out.h"
#include "view/snapshot.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define DEFAULT_SLOTS 8u
#define GUARD_MOST    4096u
#define CALLER        __builtin_return_address(0)

static struct mm_process_config config_of(const struct mem_mngr_config *config)
{
    return (struct mm_process_config){
        .report = {.on_misuse = config->on_misuse,
                   .user = config->user,
                   .most = UINT64_MAX,
                   .is_library = true,
                   .colour = MM_COLOUR_NEVER},
        .batch_slots = config->slots_per_batch != 0 ? config->slots_per_batch : DEFAULT_SLOTS,
        .slot_max = MM_SLOT_SIZE_MAX,
        .stacks = {.frames = config->stacks, .every = 1},
        .checks = {.quarantine = config->quarantine,
                   .guard = config->guard,
                   .mismatch = config->checks_mismatch != 0},
        .leaks = {.on = true},
    };
}

bool mm_process_starts_late(void)
{
    return true;
}

bool mm_process_steps_aside(void)
{
    return false;
}

struct mm_process_config mm_process_default_config(void)
{
    struct mem_mngr_config defaults = {0};
    return config_of(&defaults);
}

/* Where blocks are watched no slot may wait in a bin. */
static void open_predefined_list(void)
{
    struct mm_heap *heap = mm_process_heap();
    unsigned class = mm_class_of_size(MM_GRANULE);
    if (heap != NULL && heap != &mm_heap_ending && heap->watch == NULL &&
        heap->lists[class].batches == 0)
        mm_heap_claim(heap, class);
}

int mem_mngr_init_with(const struct mem_mngr_config *config)
{
    if (config->slots_per_batch > MM_WORD_BITS || config->stacks > MM_UNWINDER_MOST ||
        config->guard > GUARD_MOST) {
        errno = EINVAL;
        return -1;
    }
    if (mm_process_started())
        return 0;
    struct mm_process_config wanted = config_of(config);
    if (!mm_process_start(&wanted)) {
        errno = ENOMEM;
        return -1;
    }
    open_predefined_list();
    return 0;
}

int mem_mngr_init(void)
{
    struct mem_mngr_config defaults = {0};
    return mem_mngr_init_with(&defaults);
}

void *mem_mngr_alloc(size_t size)
{
    return mm_alloc(size);
}

void *mem_mngr_calloc(size_t count, size_t size)
{
    return mm_calloc(count, size);
}

void *mem_mngr_realloc(void *ptr, size_t size)
{
    return mm_realloc(ptr, size, CALLER);
}

void *mem_mngr_aligned_alloc(size_t alignment, size_t size)
{
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        errno = EINVAL;
        return NULL;
    }
    return mm_aligned_alloc(alignment, size);
}

size_t mem_mngr_usable_size(const void *ptr)
{
    return mm_usable_size(ptr, CALLER);
}

void mem_mngr_free(void *ptr)
{
    mm_free(ptr, CALLER);
}

size_t mem_mngr_check(void)
{
    return mm_check(CALLER);
}

size_t mem_mngr_leaks(void)
{
    struct mm_here here;
    mm_here_take(&here);
    return mm_process_started() ? mm_leaks_look(&here, MM_LEAKS_LIVE) : 0;
}

void mem_mngr_print_snapshot(void)
{
    char buffer[4096];
    struct mm_out out;
    fflush(stdout);
    mm_out_to_file(&out, buffer, sizeof buffer, STDOUT_FILENO);
    mm_snapshot_write(&out, "mmshim snapshot: ", 0);
    mm_out_flush(&out);
}

size_t mem_mngr_leave(void)
{
    if (!mm_process_started())
        return 0;
    mm_free_held(CALLER);
    size_t live = mm_snapshot_sums().live + mm_registry_count();
    char line[64];
    struct mm_out out;
    mm_out_start(&out, line, sizeof line);
    mm_out_format(&out, "leaving with %u blocks live", (uint64_t)live);
    mm_report_note(line);
    mm_process_stop();
    return live;
}
