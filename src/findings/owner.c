/* owner.c - asks the slots' tables, the registry and then the kernel; keeps nothing and takes no
 * lock of anyone's. */
#include "findings/owner.h"

#include "checks/checks.h"
#include "findings/report.h"
#include "forwarded/registry.h"
#include "slots/heap.h"
#include "stacks/module.h"
#include "system/mapping.h"
#include "system/os.h"
#include <string.h>

/* --- blocks beside an address --- */

/* How far away a slot is looked for, in units: 1 MiB; and a forwarded block, in bytes. */
#define NEAR_UNITS     1024u
#define NEAR_FORWARDED ((size_t)1 << 16)

static void write_slot(struct mm_out *out, const struct mm_slot_info *info)
{
    mm_out_format(out, "slot %u of %u bytes, batch %x", (uint64_t)info->index + 1,
                  (uint64_t)info->size, (uint64_t)info->base);
}

/* "a block of 40 bytes" */
static void write_block(struct mm_out *out, const char *article, size_t size)
{
    mm_out_format(out, "%s block of ", article);
    mm_out_bytes(out, size);
}

static void write_into(struct mm_out *out, uintptr_t offset)
{
    mm_out_bytes(out, offset);
    mm_out_format(out, " into ");
}

static uint64_t live_of(const struct mm_batch *batch)
{
    return mm_checks_live(batch);
}

/* Which slots of a batch start at an address or below. */
static uint64_t slots_up_to(uintptr_t address, const struct mm_slot_info *info)
{
    if (address < info->base)
        return 0;
    uintptr_t count = (address - info->base) / info->size + 1;
    return mm_bits_below(count < MM_WORD_BITS ? (unsigned)count : MM_WORD_BITS);
}

/* The live slot that starts nearest to an address, there or below, or else above it; false when
 * there is none near. */
static bool find_live(uintptr_t address, bool below, struct mm_slot_info *found)
{
    uintptr_t at = address, step = (uintptr_t)1 << MM_UNIT_SHIFT;
    for (unsigned i = 0; i < NEAR_UNITS && mm_arena_has(at); i++) {
        struct mm_slot_info info = mm_batch_inspect(at);
        uint64_t wanted = info.batch != NULL ? slots_up_to(address, &info) : 0;
        uint64_t live = info.batch != NULL ? live_of(info.batch) & (below ? wanted : ~wanted) : 0;
        if (live != 0) {
            info.index = below ? mm_log2_floor(live) : mm_bit_lowest(live);
            *found = info;
            return true;
        }
        at = below ? at - step : at + step;
    }
    return false;
}

static void describe_beside_slots(struct mm_out *out, uintptr_t address)
{
    struct mm_slot_info below = {0}, above = {0};
    uintptr_t behind = UINTPTR_MAX, before = UINTPTR_MAX;
    if (find_live(address, true, &below))
        behind = address - (below.base + (below.index + 1) * below.size);
    if (find_live(address, false, &above))
        before = above.base + above.index * above.size - address;
    bool is_behind = behind <= before;
    mm_out_format(out, "in the manager's memory, ");
    if (behind == UINTPTR_MAX && before == UINTPTR_MAX) {
        mm_out_format(out, "with no block near");
        return;
    }
    mm_out_bytes(out, is_behind ? behind : before);
    mm_out_format(out, " %s ", is_behind ? "behind" : "before");
    write_slot(out, is_behind ? &below : &above);
}

static void write_beside_forwarded(struct mm_out *out, uintptr_t distance, const char *where,
                                   const struct mm_forwarded *block)
{
    mm_out_format(out, ", ");
    mm_out_bytes(out, distance);
    mm_out_format(out, " %s ", where);
    write_block(out, "a", block->size);
    mm_out_format(out, " at %x", (uint64_t)block->start);
}

static void describe_beside_forwarded(struct mm_out *out, uintptr_t address)
{
    struct mm_near near = mm_registry_near((const void *)address);
    uintptr_t behind =
        near.below.size != 0 ? address - (near.below.start + near.below.size) : UINTPTR_MAX;
    uintptr_t before = near.above.size != 0 ? near.above.start - address : UINTPTR_MAX;
    if (behind < NEAR_FORWARDED && behind <= before)
        write_beside_forwarded(out, behind, "behind", &near.below);
    else if (before < NEAR_FORWARDED)
        write_beside_forwarded(out, before, "before", &near.above);
}

/* --- blocks, what was one, and what lies between --- */

static void describe_slot(struct mm_out *out, enum mem_mngr_misuse_kind kind, uintptr_t address)
{
    struct mm_slot_info info = mm_batch_inspect(address);
    bool live = info.batch != NULL && live_of(info.batch) >> info.index % MM_WORD_BITS & 1;
    bool never = !info.in_slot || (!live && mm_heap_never_handed_out(&info));
    bool is_odd = kind == MEM_MNGR_INTERIOR_FREE || kind == MEM_MNGR_BAD_QUERY;
    if (is_odd && never) {
        describe_beside_slots(out, address);
        return;
    }
    if (info.offset != 0)
        write_into(out, info.offset);
    write_slot(out, &info);
    if (is_odd && !live)
        mm_out_format(out, ", which is free");
}

static void describe_forwarded(struct mm_out *out, uintptr_t address)
{
    struct mm_forwarded block;
    if (!mm_registry_around((const void *)address, &block)) {
        mm_out_format(out, "in a block that another thread freed meanwhile");
        return;
    }
    write_into(out, address - block.start);
    write_block(out, "a", block.size);
    mm_out_format(out, " at %x", (uint64_t)block.start);
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
        uintptr_t stack = atomic_load_explicit(&heap->stack, memory_order_relaxed);
        if (stack >= mapping->start && stack < mapping->end)
            thread = atomic_load_explicit(&heap->thread, memory_order_relaxed);
    }
    if (thread == 0)
        return false;
    char name[MM_THREAD_NAME];
    mm_os_thread_name(thread, name);
    mm_out_format(out, "stack of ");
    mm_out_thread(out, thread, name);
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

static void describe_foreign(struct mm_out *out, uintptr_t address, const char *program,
                             struct mm_place_text *text)
{
    char path[256];
    struct mm_mapping mapping = {.path = path, .capacity = sizeof path};
    enum mm_mapping_result result = mm_mapping_find(address, &mapping);
    if (result == MM_MAPPING_FOUND &&
        (describe_stack(out, &mapping) ||
         describe_module(out, &mapping, (void *)address, program, text)))
        return;
    if (result == MM_MAPPING_FOUND && path[0] == '/') {
        describe_file(out, path);
        return;
    }
    mm_out_format(out, "%s",
                  result == MM_MAPPING_UNREADABLE ? "unknown memory: /proc/self/maps cannot be read"
                  : result == MM_MAPPING_NONE     ? "nothing mapped there"
                                                  : "anonymous memory");
    describe_beside_forwarded(out, address);
}

/* Of forwarded blocks a query's pointer may be any. */
static enum mem_mngr_misuse_kind kind_outside(enum mem_mngr_misuse_kind kind, const void *ptr)
{
    struct mm_forwarded block;
    if (kind != MEM_MNGR_BAD_QUERY)
        return kind;
    if (mm_registry_was_block(ptr))
        return MEM_MNGR_DOUBLE_FREE;
    return mm_registry_around(ptr, &block) ? MEM_MNGR_INTERIOR_FREE : MEM_MNGR_FOREIGN_FREE;
}

static void describe_outside(struct mm_out *out, enum mem_mngr_misuse_kind kind, const void *ptr,
                             const char *program, struct mm_place_text *text)
{
    switch (kind_outside(kind, ptr)) {
    case MEM_MNGR_DOUBLE_FREE:
        mm_out_format(out, "a block of the system allocator, freed before");
        return;
    case MEM_MNGR_INTERIOR_FREE:
        describe_forwarded(out, mm_os_untagged(ptr));
        return;
    case MEM_MNGR_FOREIGN_FREE:
        describe_foreign(out, mm_os_untagged(ptr), program, text);
        return;
    default:
        mm_out_format(out, "a block of the system allocator");
    }
}

void mm_owner_describe(struct mm_out *out, enum mem_mngr_misuse_kind kind, const void *ptr,
                       const char *program, struct mm_place_text *text)
{
    if (mm_arena_has(mm_os_untagged(ptr)))
        describe_slot(out, kind, mm_os_untagged(ptr));
    else
        describe_outside(out, kind, ptr, program, text);
}

/* --- what is wrong with it --- */

static const char *allocator_of(mm_shape shape)
{
    bool is_aligned = mm_shape_alignment(shape) > 1;
    switch (mm_shape_family(shape)) {
    case MM_FAMILY_NEW:
        return is_aligned ? "aligned new" : "new";
    case MM_FAMILY_NEW_ARRAY:
        return is_aligned ? "aligned new[]" : "new[]";
    default:
        return "malloc";
    }
}

static const char *deallocator_of(mm_shape how)
{
    bool is_aligned = mm_shape_alignment(how) > 1;
    switch (mm_shape_family(how)) {
    case MM_FAMILY_NEW:
        return is_aligned ? "aligned delete" : "delete";
    case MM_FAMILY_NEW_ARRAY:
        return is_aligned ? "aligned delete[]" : "delete[]";
    default:
        return "free";
    }
}

/* " of 40 bytes and alignment 64"; 0 and 1: not to be said. */
static void write_size(struct mm_out *out, size_t size, size_t alignment)
{
    if (size != 0) {
        mm_out_format(out, " of ");
        mm_out_bytes(out, size);
    }
    if (alignment > 1)
        mm_out_format(out, "%s alignment %u", size != 0 ? " and" : " of", (uint64_t)alignment);
}

/* What differs is said of both. */
static void begin_mismatch(struct mm_out *out, const struct mm_misuse *misuse, mm_shape asked)
{
    mm_shape how = misuse->how;
    bool is_size = misuse->kind == MEM_MNGR_MISMATCHED_SIZE;
    bool is_other_size = is_size && mm_shape_asked(how) != mm_shape_asked(asked);
    bool is_aligned_otherwise = is_size && mm_shape_alignment(how) != mm_shape_alignment(asked);
    mm_out_format(out, "allocated by %s", allocator_of(asked));
    write_size(out, 0, is_aligned_otherwise ? mm_shape_alignment(asked) : 1);
    mm_out_format(out, ", freed by %s", deallocator_of(how));
    write_size(out, is_other_size ? mm_shape_asked(how) : 0,
               is_aligned_otherwise ? mm_shape_alignment(how) : 1);
    mm_out_format(out, ": ");
}

static void write_distance(struct mm_out *out, uintptr_t at, uintptr_t block, size_t asked)
{
    bool is_before = at < block, is_after = at >= block + asked;
    mm_out_bytes(out, is_before ? block - at : is_after ? at - block - asked : at - block);
    mm_out_format(out, is_before ? " before " : is_after ? " after " : " into ");
}

static void begin_damage(struct mm_out *out, const struct mm_damage *damage)
{
    write_distance(out, damage->at, damage->block, damage->asked);
    write_block(out, "a", damage->asked);
    mm_out_format(out, ": ");
}

void mm_owner_begin(struct mm_out *out, const struct mm_misuse *misuse,
                    const struct mm_stack_history *history)
{
    if (misuse->damage != NULL)
        begin_damage(out, misuse->damage);
    else if (misuse->kind == MEM_MNGR_MISMATCHED_FREE || misuse->kind == MEM_MNGR_MISMATCHED_SIZE)
        begin_mismatch(out, misuse, history != NULL ? history->shape : 0);
    if (misuse->damage == NULL && history != NULL && history->has_allocated) {
        mm_out_bytes(out, history->asked);
        mm_out_format(out, " asked, ");
    }
}

static void write_found(struct mm_out *out, const struct mm_damage *damage)
{
    mm_out_format(out, "; found ");
    for (unsigned i = 0; i < damage->found_count; i++) {
        mm_out_format(out, i > 0 ? " " : "");
        mm_out_hex(out, &damage->found[i], 1);
    }
}

static void write_neighbour(struct mm_out *out, const struct mm_damage *damage)
{
    const struct mm_forwarded *neighbour = &damage->neighbour;
    if (neighbour->start == 0)
        return;
    mm_out_format(out, "; or it is ");
    write_distance(out, damage->at, neighbour->start, neighbour->size);
    write_block(out, "the", neighbour->size);
    mm_out_format(out, " at %x", (uint64_t)neighbour->start);
}

void mm_owner_end(struct mm_out *out, const struct mm_misuse *misuse)
{
    bool is_delete = mm_checks.mismatch && mm_shape_family(misuse->how) == MM_FAMILY_NEW;
    struct mm_slot_info info = {0};
    if (misuse->damage != NULL) {
        write_found(out, misuse->damage);
        write_neighbour(out, misuse->damage);
    }
    if (misuse->kind == MEM_MNGR_INTERIOR_FREE && is_delete &&
        mm_arena_has(mm_os_untagged(misuse->ptr)))
        info = mm_batch_inspect(mm_os_untagged(misuse->ptr));
    if (info.in_slot && info.offset == 8)
        mm_out_format(out, "; delete of what new[] made, behind the count of its elements?");
}
