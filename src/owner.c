#include "owner.h"

#include "heap.h"
#include "mapping.h"
#include "module.h"
#include "next.h"
#include "os.h"
#include "registry.h"
#include <string.h>

static void describe_slot(struct mm_out *out, enum mem_mngr_misuse_kind kind, uintptr_t address)
{
    struct mm_slot_info info = mm_batch_inspect(address);
    if (!info.in_slot) {
        mm_out_format(out, "in the manager's memory, but in no slot");
        return;
    }
    if (info.offset != 0)
        mm_out_format(out, "%u bytes into ", (uint64_t)info.offset);
    mm_out_format(out, "slot %u of %u bytes, batch %x", (uint64_t)info.index + 1,
                  (uint64_t)info.size, (uint64_t)info.base);
    bool live = info.batch != NULL &&
                atomic_load_explicit(&info.batch->live, memory_order_relaxed) >> info.index & 1;
    if (kind == MEM_MNGR_INTERIOR_FREE && !live)
        mm_out_format(out, ", which is free");
    if (kind == MEM_MNGR_FOREIGN_FREE)
        mm_out_format(out, ", never handed out");
}

static void describe_forwarded(struct mm_out *out, const void *ptr)
{
    size_t size;
    const char *block = mm_registry_around(ptr, mm_next_size_if_there, &size);
    if (block == NULL)
        mm_out_format(out, "in a block that another thread freed meanwhile");
    else
        mm_out_format(out, "%u bytes into a block of %u bytes at %x",
                      (uint64_t)((const char *)ptr - block), (uint64_t)size,
                      (uint64_t)(uintptr_t)block);
}

/* --- foreign pointers: the mapping that they lie in --- */

static bool describe_stack(struct mm_out *out, const struct mm_mapping *mapping)
{
    pid_t thread = 0;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (here >= mapping->start && here < mapping->end) {
        mm_out_format(out, "stack of this thread");
        return true;
    }
    if (strcmp(mapping->path, "[stack]") == 0)
        thread = mm_os_process_id();
    for (struct mm_heap *heap = mm_heap_first(); heap != NULL && thread == 0; heap = heap->next) {
        if (heap->stack >= mapping->start && heap->stack < mapping->end)
            thread = heap->thread;
    }
    if (thread == 0)
        return false;
    char name[MM_THREAD_NAME];
    mm_os_thread_name(thread, name);
    mm_out_format(out, "stack of thread %u (%s)", (uint64_t)thread, name);
    return true;
}

static bool describe_module(struct mm_out *out, const struct mm_mapping *mapping, const void *ptr,
                            const char *program, struct mm_place_text *text)
{
    struct mm_place place;
    mm_module_place(ptr, program, &place, text);
    if (place.module == NULL)
        return false;
    mm_out_format(out, "%s of ", mapping->writable ? "global" : "read-only data");
    mm_out_cut(out, place.module, MM_PATH_SHOWN);
    if (place.symbol != NULL) {
        mm_out_format(out, ", near ");
        mm_out_cut(out, place.symbol, MM_SYMBOL_SHOWN);
        mm_out_format(out, "+%x", (uint64_t)place.symbol_offset);
    }
    return true;
}

static void describe_file(struct mm_out *out, const char *path)
{
    mm_out_cut(out, path, MM_PATH_SHOWN);
    mm_out_format(out, ", a mapped file");
}

static void describe_foreign(struct mm_out *out, const void *ptr, const char *program,
                             struct mm_place_text *text)
{
    char path[256];
    struct mm_mapping mapping = {.path = path, .capacity = sizeof path};
    enum mm_mapping_fate fate = mm_mapping_find((uintptr_t)ptr, &mapping);
    if (fate == MM_MAPPING_UNREADABLE)
        mm_out_format(out, "unknown memory: /proc/self/maps cannot be read");
    else if (fate == MM_MAPPING_NONE)
        mm_out_format(out, "nothing mapped there");
    else if (describe_stack(out, &mapping) || describe_module(out, &mapping, ptr, program, text))
        return;
    else if (mapping.path[0] == '/')
        describe_file(out, mapping.path);
    else
        mm_out_format(out, "anonymous memory");
}

void mm_owner_describe(struct mm_out *out, enum mem_mngr_misuse_kind kind, const void *ptr,
                       const char *program, struct mm_place_text *text)
{
    uintptr_t address = (uintptr_t)ptr;
    if (address - mm_arena.base < mm_arena.size)
        describe_slot(out, kind, address);
    else if (kind == MEM_MNGR_DOUBLE_FREE)
        mm_out_format(out, "a block of the system allocator, freed before");
    else if (kind == MEM_MNGR_INTERIOR_FREE)
        describe_forwarded(out, ptr);
    else
        describe_foreign(out, ptr, program, text);
}
