/* describe.c - what a finding says of the block: whose the memory is, and its lives, as far as they
 * are kept. The draft is its holder's; nothing is kept here. */
#include "findings/describe.h"

#include "blocks/stacks.h"
#include "findings/owner.h"

static void copy_name(char to[static MM_THREAD_NAME], const char from[static MM_THREAD_NAME])
{
    for (unsigned i = 0; i < MM_THREAD_NAME; i++)
        to[i] = from[i];
}

/* NULL: nothing that has a name. */
const char *mm_describe_call(enum mm_call call, mm_shape how, bool is_library)
{
    switch (call) {
    case MM_CALL_FREE:
        return is_library ? "mem_mngr_free" : mm_shape_asked(how) != 0 ? "free_sized" : "free";
    case MM_CALL_REALLOC:
        return is_library ? "mem_mngr_realloc" : "realloc";
    case MM_CALL_DELETE:
        return "delete";
    case MM_CALL_DELETE_ARRAY:
        return "delete[]";
    case MM_CALL_USABLE_SIZE:
        return is_library ? "mem_mngr_usable_size" : "malloc_usable_size";
    case MM_CALL_CHECK:
        return "mem_mngr_check";
    default:
        return NULL;
    }
}

/* malloc() has many names. */
static const char *name_of_allocator(mm_shape shape)
{
    enum mm_family family = mm_shape_family(shape);
    return family == MM_FAMILY_NEW ? "new" : family == MM_FAMILY_NEW_ARRAY ? "new[]" : NULL;
}

static void take_history(struct mm_trace *trace, const struct mm_stack *stack, const char *call,
                         struct mm_draft *draft)
{
    trace->thread = stack->thread;
    trace->call = call;
    copy_name(trace->thread_name, stack->name);
    mm_trace_take(trace, stack->frames, stack->count, draft->program, &draft->names);
}

/* A pointer that is known not to be, or have been, one of a block has no history. */
static bool has_history(const struct mm_finding *finding)
{
    return finding->kind != MEM_MNGR_FOREIGN_FREE;
}

static void take_lives(struct mm_draft *draft, const struct mm_stack_history *history,
                       bool is_library)
{
    struct mm_finding *finding = &draft->finding;
    finding->asked = history->asked;
    finding->has_freed = history->has_freed && (finding->kind <= MEM_MNGR_FOREIGN_FREE ||
                                                finding->kind == MEM_MNGR_USE_AFTER_FREE ||
                                                finding->kind == MEM_MNGR_BAD_QUERY);
    finding->has_allocated = history->has_allocated;
    finding->has_before = history->has_before && finding->kind == MEM_MNGR_DOUBLE_FREE;
    take_history(&finding->freed, &history->freed,
                 mm_describe_call(mm_shape_freed_by(history->shape), 0, is_library), draft);
    take_history(&finding->allocated, &history->allocated, name_of_allocator(history->shape),
                 draft);
    take_history(&finding->freed_before, &history->freed_before, NULL, draft);
    take_history(&finding->allocated_before, &history->allocated_before, NULL, draft);
    mm_traces_name((struct mm_trace *const[]){&finding->bad, &finding->freed, &finding->allocated,
                                              &finding->freed_before, &finding->allocated_before},
                   MM_TRACES_MOST, draft->program, &draft->names);
}

void mm_describe(struct mm_draft *draft, const struct mm_misuse *misuse,
                 const struct mm_describe_for *whom)
{
    struct mm_finding *finding = &draft->finding;
    struct mm_stack_history history = {0};
    struct mm_out out;
    bool is_known = has_history(finding) && mm_stacks_history(finding->ptr, &history);
    mm_out_start(&out, finding->description, sizeof finding->description);
    mm_owner_describe(&out, &(struct mm_owner_of){.misuse = misuse,
                                                  .history = is_known ? &history : NULL,
                                                  .program = finding->program,
                                                  .text = &draft->names.place,
                                                  .symtab = &draft->names.symtab,
                                                  .briefly = whom->on_terminal});
    finding->say_how = whom->advises_stacks && has_history(finding) && finding->bad.count > 0;
    finding->damage = misuse->damage;
    finding->leak = misuse->leak;
    finding->at_exit = misuse->call == MM_CALL_EXIT;
    take_lives(draft, &history, whom->is_library);
}
