/* describe.c - what a finding says of the block: whose the memory is, and its lives, as far as they
 * are kept. The draft is its holder's; nothing is kept here. */
#include "findings/describe.h"

#include "blocks/stacks.h"
#include "findings/owner.h"
#include "slots/guarded.h"
#include "stacks/interned.h"

static void copy_name(char to[static MM_THREAD_NAME], const char from[static MM_THREAD_NAME])
{
    for (unsigned i = 0; i < MM_THREAD_NAME; i++)
        to[i] = from[i];
}

static const char *name_of_call(enum mm_call call, mm_shape how, bool is_library)
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

const char *mm_describe_what(const struct mm_misuse *misuse, bool is_library)
{
    if (misuse->access != NULL)
        return misuse->access->function;
    if (misuse->touch == NULL)
        return name_of_call(misuse->call, misuse->how, is_library);
    if (misuse->caller == misuse->ptr && misuse->touch->block == 0)
        return "a jump";
    return misuse->touch->access == MM_FAULT_WRITE  ? "a write"
           : misuse->touch->access == MM_FAULT_READ ? "a read"
                                                    : "an access";
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
    return finding->kind != MEM_MNGR_FOREIGN_FREE && finding->kind != MEM_MNGR_BAD_ACCESS;
}

static void take_lives(struct mm_draft *draft, const struct mm_stack_history *history,
                       bool is_library)
{
    struct mm_finding *finding = &draft->finding;
    finding->asked = history->asked;
    finding->has_freed =
        history->has_freed &&
        (finding->kind <= MEM_MNGR_FOREIGN_FREE || finding->kind == MEM_MNGR_USE_AFTER_FREE ||
         finding->kind == MEM_MNGR_DANGLING || finding->kind == MEM_MNGR_BAD_QUERY);
    finding->has_allocated = history->has_allocated;
    finding->has_before = history->has_before && finding->kind == MEM_MNGR_DOUBLE_FREE;
    take_history(&finding->freed, &history->freed,
                 name_of_call(mm_shape_freed_by(history->shape), 0, is_library), draft);
    take_history(&finding->allocated, &history->allocated, name_of_allocator(history->shape),
                 draft);
    take_history(&finding->freed_before, &history->freed_before, NULL, draft);
    take_history(&finding->allocated_before, &history->allocated_before, NULL, draft);
    mm_traces_name((struct mm_trace *const[]){&finding->bad, &finding->freed, &finding->allocated,
                                              &finding->freed_before, &finding->allocated_before},
                   MM_TRACES_MOST, draft->program, &draft->names);
}

static bool find_history(const struct mm_misuse *misuse, struct mm_stack_history *history)
{
    if (mm_owner_is_there(misuse))
        return mm_stacks_history(misuse->ptr, history);
    *history = (struct mm_stack_history){.has_allocated = true};
    history->allocated.count = mm_interned_frames(misuse->leak->stack, history->allocated.frames);
    return history->allocated.count != 0;
}

/* In a frame of its own, as a history is large and handlers' stacks are small. */
MM_COLD static void take_holder(struct mm_draft *draft, const struct mm_dangling *dangling)
{
    struct mm_stack_history history = {0};
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    if (mm_stacks_history((const void *)dangling->at, &history) && history.has_allocated)
        take_history(&draft->finding.bad, &history.allocated, name_of_allocator(history.shape),
                     draft);
}

/* From the program's own code on, which is all of a stack that has none. */
static bool is_same_call(const struct mm_trace *one, const struct mm_trace *other)
{
    unsigned of_one = one->own < one->count ? one->own : 0;
    unsigned of_other = other->own < other->count ? other->own : 0;
    if (one->count == 0 || one->count - of_one != other->count - of_other)
        return false;
    for (unsigned i = 0; of_one + i < one->count; i++)
        if (one->frames[of_one + i].address != other->frames[of_other + i].address)
            return false;
    return true;
}

const char *mm_describe_advice(const struct mm_finding *finding,
                               const struct mm_report_advice *advises)
{
    if (advises->stacks && has_history(finding) && finding->bad.count > 0 &&
        !finding->has_allocated)
        return "run with MM_STACKS=16 to see who allocated and first freed it";
    bool is_by_another = finding->kind == MEM_MNGR_USE_AFTER_FREE && finding->bad.own > 0;
    if ((finding->kind == MEM_MNGR_DOUBLE_FREE || is_by_another) && finding->has_freed &&
        is_same_call(&finding->bad, &finding->freed))
        return "the same call freed it before: was it put in twice, or has it two owners?";
    if (finding->damage != NULL && finding->kind == MEM_MNGR_UNDERFLOW && advises->below &&
        finding->has_allocated && finding->asked <= MM_GUARDED_MOST)
        return "MM_DEBUG=1 MM_GUARD_BELOW=1 may show the write itself";
    return NULL;
}

void mm_describe(struct mm_draft *draft, const struct mm_misuse *misuse,
                 const struct mm_describe_for *whom)
{
    struct mm_finding *finding = &draft->finding;
    struct mm_stack_history history = {0};
    struct mm_out out;
    bool is_known = has_history(finding) && find_history(misuse, &history);
    finding->local = (struct mm_local){0};
    mm_out_start(&out, finding->description, sizeof finding->description);
    mm_owner_describe(&out, &(struct mm_owner_of){.misuse = misuse,
                                                  .history = is_known ? &history : NULL,
                                                  .program = finding->program,
                                                  .text = &draft->names.place,
                                                  .symtab = &draft->names.symtab,
                                                  .local = &finding->local,
                                                  .briefly = whom->on_terminal});
    finding->damage = misuse->damage;
    finding->leak = misuse->leak;
    finding->dangling = misuse->dangling;
    if (misuse->dangling != NULL)
        take_holder(draft, misuse->dangling);
    finding->access = misuse->access;
    finding->touch = misuse->touch;
    finding->at_exit = misuse->call == MM_CALL_EXIT;
    take_lives(draft, &history, whom->is_library);
}
