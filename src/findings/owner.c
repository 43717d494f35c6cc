/* owner.c - asks the slots' tables, the registry and then the kernel; keeps nothing and takes no
 * lock of anyone's. */
#include "findings/owner.h"

#include "checks/checks.h"
#include "findings/demangle.h"
#include "findings/finding.h"
#include "findings/harm.h"
#include "findings/leaked.h"
#include "findings/local.h"
#include "findings/report.h"
#include "findings/words.h"
#include "forwarded/registry.h"
#include "slots/guarded.h"
#include "slots/heap.h"
#include "stacks/module.h"
#include "stacks/symtab.h"
#include "system/mapping.h"
#include "system/os.h"
#include "system/peek.h"
#include <string.h>

/* What was asked for; false when that is not known. */
static bool find_asked(const struct mm_owner_of *of, size_t *asked)
{
    if (of->misuse->damage != NULL) {
        *asked = of->misuse->damage->asked;
        return true;
    }
    if (of->history == NULL || !of->history->has_allocated)
        return false;
    *asked = of->history->asked;
    return true;
}

/* --- blocks beside an address --- */

/* How far away a slot is looked for, in units: 1 MiB; and a forwarded block, in bytes. */
#define NEAR_UNITS     1024u
#define NEAR_FORWARDED ((size_t)1 << 16)

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
    struct mm_slot_info *nearest = is_behind ? &below : &above;
    if (behind == UINTPTR_MAX && before == UINTPTR_MAX) {
        mm_out_format(out, "in the manager's memory, with no block near");
        return;
    }
    mm_out_format(out, "in no block, ");
    mm_out_bytes(out, is_behind ? behind : before);
    mm_out_format(out, is_behind ? " after " : " before ");
    mm_words_block(out, nearest->size, false);
    nearest->offset = 0;
    mm_words_slot(out, nearest);
}

static void write_beside_forwarded(struct mm_out *out, uintptr_t distance, const char *where,
                                   const struct mm_forwarded *block)
{
    mm_out_format(out, ", ");
    mm_out_bytes(out, distance);
    mm_out_format(out, " %s ", where);
    mm_words_block(out, block->size, true);
    mm_out_format(out, " at %x", (uint64_t)block->start);
}

static void describe_beside_forwarded(struct mm_out *out, uintptr_t address)
{
    struct mm_near near = mm_registry_near((const void *)address);
    uintptr_t behind =
        near.below.size != 0 ? address - (near.below.start + near.below.size) : UINTPTR_MAX;
    uintptr_t before = near.above.size != 0 ? near.above.start - address : UINTPTR_MAX;
    if (behind < NEAR_FORWARDED && behind <= before)
        write_beside_forwarded(out, behind, "after", &near.below);
    else if (before < NEAR_FORWARDED)
        write_beside_forwarded(out, before, "before", &near.above);
}

/* --- foreign pointers: the mapping that they lie in --- */

/* The number of the text that holds the address, counted from 0, and where that starts. */
static unsigned find_text(struct mm_peeker *peeker, uintptr_t from, uintptr_t address,
                          uintptr_t *start)
{
    unsigned number = 0;
    char letter;
    *start = from;
    for (; from < address && mm_peeker_read(peeker, from, &letter, 1); from++) {
        if (letter == '\0') {
            number++;
            *start = from + 1;
        }
    }
    return number;
}

static void write_variable(struct mm_out *out, struct mm_peeker *peeker, uintptr_t start,
                           uintptr_t address)
{
    char name[128];
    mm_peeker_text(peeker, start, name, sizeof name);
    char *equals = strchr(name, '=');
    uintptr_t value = start + (uintptr_t)(equals != NULL ? equals + 1 - name : 0);
    if (equals != NULL)
        *equals = '\0';
    if (address > value)
        mm_words_distance(out, address, value, SIZE_MAX - value);
    mm_out_format(out, address >= value ? "the value of " : "the name of ");
    mm_out_cut(out, name, sizeof name);
    mm_out_format(out, " in the environment");
}

/* What the kernel put at the end of the first stack. */
static bool describe_texts(struct mm_out *out, uintptr_t address)
{
    struct mm_mapping_texts texts;
    struct mm_peeker peeker;
    unsigned char window[MM_PEEK_WINDOW];
    uintptr_t start;
    if (!mm_mapping_find_texts(&texts))
        return false;
    mm_peeker_start(&peeker, false, window, sizeof window);
    if (address >= texts.arguments && address < texts.arguments_end) {
        unsigned number = find_text(&peeker, texts.arguments, address, &start);
        if (address > start)
            mm_words_distance(out, address, start, SIZE_MAX - start);
        mm_out_format(out, "argv[%u] of the program", (uint64_t)number);
        return true;
    }
    if (address < texts.environment || address >= texts.environment_end)
        return false;
    find_text(&peeker, texts.environment, address, &start);
    write_variable(out, &peeker, start, address);
    return true;
}

static bool describe_stack(struct mm_out *out, uintptr_t address, const struct mm_mapping *mapping,
                           const struct mm_owner_of *of)
{
    pid_t thread = 0;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (strcmp(mapping->path, "[stack]") == 0 && describe_texts(out, address))
        return true;
    if (here >= mapping->start && here < mapping->end) {
        mm_out_format(out, "stack of this thread");
        mm_local_find(of->local, of->misuse->caller, address);
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

static const char *path_of(const struct mm_owner_of *of, const char *path)
{
    const char *slash = of->briefly ? strrchr(path, '/') : NULL;
    return slash != NULL ? slash + 1 : path;
}

/* A static one, by the module's file. */
static void find_static(struct mm_place *place, const struct mm_owner_of *of)
{
    struct mm_symtab_place found = {.offset = place->module_offset};
    if (!mm_symtab_open(of->symtab, place, of->program))
        return;
    mm_symtab_search(of->symtab, &found, 1);
    if (mm_symtab_name(of->symtab, &found, of->text->symbol, sizeof of->text->symbol)) {
        place->symbol = of->text->symbol;
        place->symbol_offset = found.offset - found.start;
    }
    mm_symtab_close(of->symtab);
}

static bool describe_module(struct mm_out *out, const struct mm_mapping *mapping, uintptr_t address,
                            const struct mm_owner_of *of)
{
    struct mm_place place;
    mm_module_place((const void *)address, of->program, &place, of->text);
    if (place.module == NULL)
        return false;
    if (place.symbol == NULL)
        find_static(&place, of);
    if (place.symbol != NULL && place.symbol_offset != 0) {
        mm_out_bytes(out, place.symbol_offset);
        mm_out_format(out, " inside ");
    }
    mm_out_format(out, "%s", mapping->writable ? "global" : "read-only data");
    if (place.symbol != NULL) {
        mm_out_format(out, " ");
        mm_demangle_cut(out, place.symbol, MM_SYMBOL_SHOWN);
    }
    mm_out_format(out, " of ");
    mm_out_cut(out, path_of(of, place.module), MM_PATH_SHOWN);
    return true;
}

#define NEAR_STACK ((uintptr_t)1 << 20) /* of its pointer, in bytes */

/* Where nothing is mapped: the end of a stack has nothing behind it but what no call may take. */
static bool is_behind_stack(uintptr_t address, const struct mm_touch *touch)
{
    return touch != NULL &&
           address - (mm_fault_stack(touch->context) - NEAR_STACK) < 2 * NEAR_STACK;
}

static void describe_foreign(struct mm_out *out, uintptr_t address, const struct mm_owner_of *of)
{
    char path[256];
    struct mm_mapping mapping = {.path = path, .capacity = sizeof path};
    enum mm_mapping_result result = mm_mapping_find(address, &mapping);
    if (result == MM_MAPPING_FOUND &&
        (describe_stack(out, address, &mapping, of) || describe_module(out, &mapping, address, of)))
        return;
    if (result == MM_MAPPING_FOUND && path[0] == '/') {
        mm_out_cut(out, path_of(of, path), MM_PATH_SHOWN);
        mm_out_format(out, ", a mapped file");
        return;
    }
    if (result == MM_MAPPING_NONE && is_behind_stack(address, of->misuse->touch)) {
        mm_out_format(out, "beyond the end of this thread's stack, which is full");
        return;
    }
    if (mm_checks_is_filling((uintptr_t)of->misuse->ptr)) /* its top byte, too */
        mm_out_format(out, "read from a freed block, which is filled with bytes of %x; ",
                      (uint64_t)mm_checks.freed);
    mm_out_format(out, "%s",
                  result == MM_MAPPING_UNREADABLE ? "unknown memory: /proc/self/maps cannot be read"
                  : result == MM_MAPPING_NONE     ? "nothing mapped there"
                                                  : "anonymous memory");
    describe_beside_forwarded(out, address);
}

/* Of forwarded blocks a query's pointer may be any, as may that of a copy onto itself, which need
 * be none's. */
static enum mem_mngr_misuse_kind kind_outside(enum mem_mngr_misuse_kind kind, const void *ptr)
{
    struct mm_forwarded block;
    if (kind != MEM_MNGR_BAD_QUERY && kind != MEM_MNGR_OVERLAP)
        return kind;
    if (mm_registry_is_live(ptr))
        return kind;
    if (kind == MEM_MNGR_BAD_QUERY && mm_registry_was_block(ptr))
        return MEM_MNGR_DOUBLE_FREE;
    return mm_registry_around(ptr, &block) ? MEM_MNGR_INTERIOR_FREE : MEM_MNGR_FOREIGN_FREE;
}

/* --- families of functions --- */

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
    switch (mm_shape_call(how)) {
    case MM_CALL_DELETE:
        return is_aligned ? "aligned delete" : "delete";
    case MM_CALL_DELETE_ARRAY:
        return is_aligned ? "aligned delete[]" : "delete[]";
    case MM_CALL_REALLOC:
        return "realloc";
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
static void write_mismatch(struct mm_out *out, const struct mm_misuse *misuse, mm_shape asked)
{
    mm_shape how = misuse->how;
    bool is_size = misuse->kind == MEM_MNGR_MISMATCHED_SIZE;
    bool is_other_size = is_size && mm_shape_asked(how) != mm_shape_asked(asked);
    bool is_aligned_otherwise = is_size && mm_shape_alignment(how) != mm_shape_alignment(asked);
    mm_out_format(out, ", allocated by %s", allocator_of(asked));
    write_size(out, 0, is_aligned_otherwise ? mm_shape_alignment(asked) : 1);
    mm_out_format(out, ", freed by %s", deallocator_of(how));
    write_size(out, is_other_size ? mm_shape_asked(how) : 0,
               is_aligned_otherwise ? mm_shape_alignment(how) : 1);
}

bool mm_owner_is_there(const struct mm_misuse *misuse)
{
    const struct mm_leak *leak = misuse->leak;
    return leak == NULL || leak->stack == 0 || mm_stacks_allocator(misuse->ptr) == leak->stack;
}

/* Of several blocks one is described. */
static void begin_leak(struct mm_out *out, const struct mm_leak *leak, bool is_there)
{
    if (leak->blocks == 1 && is_there)
        return;
    mm_out_bytes(out, leak->bytes);
    mm_out_format(out, " in ");
    mm_out_count(out, leak->blocks, "block", "blocks");
    mm_leaked_write(out, leak);
    if (is_there)
        mm_out_format(out, "; one of them is ");
}

/* 0: none is known there. */
static uintptr_t offset_in_block(uintptr_t address)
{
    struct mm_guarded_slot slot, above;
    if (mm_guarded_has(address)) {
        mm_guarded_find(address, &slot, &above);
        return slot.number != MM_GUARDED_SLOTS ? address - slot.block : 0;
    }
    struct mm_slot_info info = {0};
    if (mm_arena_has(address))
        info = mm_batch_inspect(address);
    return info.in_slot ? info.offset : 0;
}

static struct mm_forwarded block_around(uintptr_t address)
{
    struct mm_forwarded block = {0};
    struct mm_slot_info info = {0};
    if (mm_arena_has(address))
        info = mm_batch_inspect(address);
    else
        mm_registry_around((const void *)address, &block); /* NOLINT */
    if (info.in_slot)
        block = (struct mm_forwarded){.start = address - info.offset, .size = info.size};
    struct mm_guarded_slot slot;
    if (mm_guarded_has(address) && mm_guarded_nearest(address, &slot))
        block = (struct mm_forwarded){.start = slot.block, .size = slot.asked};
    if (address - block.start >= block.size)
        return (struct mm_forwarded){0};
    struct mm_stacks_note note = mm_stacks_note(block.start);
    block.size = note.is_known ? note.asked : block.size;
    return block;
}

/* Where it lies. Of several one is described. */
MM_COLD static void begin_dangling(struct mm_out *out, const struct mm_dangling *dangling,
                                   const struct mm_owner_of *of)
{
    struct mm_forwarded block = block_around(dangling->at);
    if (dangling->pointers > 1)
        mm_out_format(out, "one of %u pointers: ", dangling->pointers);
    if (block.start == 0) {
        describe_foreign(out, dangling->at, of);
    } else {
        mm_words_distance(out, dangling->at, block.start, block.size);
        mm_words_block(out, block.size, true);
        mm_out_format(out, " at %x", (uint64_t)block.start);
    }
    mm_out_format(out, dangling->is_to_start ? "; it points to " : "; it points ");
}

static bool is_mismatch(const struct mm_misuse *misuse)
{
    return misuse->kind == MEM_MNGR_MISMATCHED_FREE || misuse->kind == MEM_MNGR_MISMATCHED_SIZE;
}

/* By what C++ compilers make of a delete, the size is that of the pointer's type. */
static bool is_of_smaller_type(const struct mm_misuse *misuse, mm_shape asked)
{
    return misuse->kind == MEM_MNGR_MISMATCHED_SIZE &&
           mm_shape_call(misuse->how) == MM_CALL_DELETE && mm_shape_asked(misuse->how) != 0 &&
           mm_shape_asked(misuse->how) < mm_shape_asked(asked);
}

/* What else is wrong with it. */
static void write_end(struct mm_out *out, const struct mm_owner_of *of)
{
    const struct mm_misuse *misuse = of->misuse;
    if (misuse->leak != NULL && misuse->leak->blocks == 1)
        mm_leaked_write(out, misuse->leak);
    mm_shape asked = of->history != NULL ? of->history->shape : 0;
    if (is_mismatch(misuse))
        write_mismatch(out, misuse, asked);
    if (is_of_smaller_type(misuse, asked))
        mm_out_format(out,
                      "; deleted as a smaller type: as a base class without a virtual destructor?");
    bool is_delete = mm_checks.mismatch && mm_shape_family(misuse->how) == MM_FAMILY_NEW;
    if (misuse->kind == MEM_MNGR_INTERIOR_FREE && is_delete &&
        offset_in_block(mm_os_untagged(misuse->ptr)) == 8)
        mm_out_format(out, "; delete of what new[] made, behind the count of its elements?");
}

/* --- blocks, what was one, and what lies between --- */

static void describe_slot(struct mm_out *out, const struct mm_owner_of *of, uintptr_t address)
{
    struct mm_slot_info info = mm_batch_inspect(address);
    enum mem_mngr_misuse_kind kind = of->misuse->kind;
    bool live = info.batch != NULL && live_of(info.batch) >> info.index % MM_WORD_BITS & 1;
    bool never = !info.in_slot || (!live && mm_heap_never_handed_out(&info));
    bool is_odd = kind == MEM_MNGR_INTERIOR_FREE || kind == MEM_MNGR_BAD_QUERY ||
                  kind == MEM_MNGR_OVERLAP || kind == MEM_MNGR_BAD_ACCESS;
    if (is_odd && never) {
        describe_beside_slots(out, address);
        return;
    }
    size_t size = info.size;
    bool exactly = find_asked(of, &size);
    mm_words_place_in(out, address, address - info.offset, size);
    mm_words_block(out, size, exactly);
    if (kind == MEM_MNGR_DOUBLE_FREE || kind == MEM_MNGR_DANGLING || (is_odd && !live))
        mm_out_format(out, ", freed before");
    write_end(out, of);
    mm_words_slot(out, &info);
}

/* What lies beside a block, in its slot or a fence, is told of as if it were in the block. */
static void describe_guarded(struct mm_out *out, const struct mm_owner_of *of, uintptr_t address)
{
    struct mm_guarded_slot slot, above;
    mm_guarded_find(address, &slot, &above);
    if (slot.number == MM_GUARDED_SLOTS || slot.block == 0) {
        mm_out_format(out, "in the manager's memory, with no block near");
        return;
    }
    mm_words_place_in(out, address, slot.block, slot.asked);
    mm_words_block(out, slot.asked, true);
    bool is_freed = slot.state != MM_GUARDED_LIVE && !is_mismatch(of->misuse); /* only now */
    if (is_freed || of->misuse->kind == MEM_MNGR_DOUBLE_FREE)
        mm_out_format(out, ", freed before");
    write_end(out, of);
    mm_words_slot_of(out, slot.block);
}

static void describe_inside_forwarded(struct mm_out *out, const struct mm_owner_of *of,
                                      uintptr_t address)
{
    struct mm_forwarded block;
    if (!mm_registry_around((const void *)address, &block)) {
        mm_out_format(out, "in a block that another thread freed meanwhile");
        return;
    }
    find_asked(of, &block.size);
    mm_words_place_in(out, address, block.start, block.size);
    mm_words_block(out, block.size, true);
    mm_out_format(out, " at %x", (uint64_t)block.start);
}

#define NULL_PAGES 4096u

static void describe_null(struct mm_out *out, uintptr_t address, const struct mm_owner_of *of)
{
    const struct mm_touch *touch = of->misuse->touch;
    if (touch != NULL && touch->is_untold)
        mm_out_format(
            out,
            "an address that the system does not tell: no memory can have it, or it is not aligned "
            "as it has to be");
    else if (address == 0)
        mm_out_format(out, "the null pointer");
    else {
        mm_out_bytes(out, address);
        mm_out_format(out, " behind the null pointer");
    }
}

static void describe_outside(struct mm_out *out, const struct mm_owner_of *of, uintptr_t address)
{
    enum mem_mngr_misuse_kind kind = kind_outside(of->misuse->kind, of->misuse->ptr);
    size_t size;
    if (kind == MEM_MNGR_BAD_ACCESS && address < NULL_PAGES) {
        describe_null(out, address, of);
        return;
    }
    if (kind == MEM_MNGR_FOREIGN_FREE || kind == MEM_MNGR_BAD_ACCESS) {
        describe_foreign(out, address, of);
        return;
    }
    if (kind == MEM_MNGR_INTERIOR_FREE) {
        describe_inside_forwarded(out, of, address);
        return;
    }
    if (find_asked(of, &size))
        mm_words_block(out, size, true);
    else
        mm_out_format(out, "a block of the system allocator");
    if (kind == MEM_MNGR_DOUBLE_FREE || kind == MEM_MNGR_DANGLING)
        mm_out_format(out, ", freed before");
    write_end(out, of);
}

static void describe_pointer(struct mm_out *out, const struct mm_owner_of *of)
{
    uintptr_t address = mm_os_untagged(of->misuse->ptr);
    bool is_there = mm_owner_is_there(of->misuse);
    if (of->misuse->leak != NULL)
        begin_leak(out, of->misuse->leak, is_there);
    if (!is_there)
        return;
    if (of->misuse->dangling != NULL)
        begin_dangling(out, of->misuse->dangling, of);
    if (mm_arena_has(address))
        describe_slot(out, of, address);
    else if (mm_guarded_has(address))
        describe_guarded(out, of, address);
    else
        describe_outside(out, of, address);
}

MM_COLD void mm_owner_describe(struct mm_out *out, const struct mm_owner_of *of)
{
    if (!mm_harm_describe(out, of->misuse))
        describe_pointer(out, of);
}
