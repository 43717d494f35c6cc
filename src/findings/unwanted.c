/* unwanted.c - see unwanted.h. All is written in the start, and only read after. */
#include "findings/unwanted.h"

#include "findings/suppress.h"

#define RULES_MOST 3u /* the user's, the program's, and those of known leaks */

static struct {
    const char *text;
    size_t size;
} rules[RULES_MOST];
static unsigned rules_count;
static const char *only;

void mm_unwanted_start(const char *patterns)
{
    only = patterns;
}

void mm_unwanted_add(const char *text, size_t size)
{
    if (rules_count == RULES_MOST)
        return;
    rules[rules_count].text = text;
    rules[rules_count++].size = size;
}

bool mm_unwanted_any(void)
{
    return rules_count != 0 || only != NULL;
}

static bool is_suppressed_by(const char *kind, const char *name)
{
    for (unsigned i = 0; i < rules_count; i++) {
        if (mm_suppress_matches(rules[i].text, rules[i].size, kind, name))
            return true;
    }
    return false;
}

/* Rules for leaks are for possible ones, too. */
static const char *kind_to_judge(const struct mm_finding *finding)
{
    return mm_kinds[finding->leak != NULL ? MEM_MNGR_LEAK : finding->kind].name;
}

static bool is_suppressed(const struct mm_finding *finding)
{
    const char *kind = kind_to_judge(finding);
    const struct mm_trace *trace = mm_finding_trace(finding);
    for (unsigned i = 0; i < trace->count; i++) {
        const struct mm_frame *frame = &trace->frames[i];
        if (is_suppressed_by(kind, frame->place.symbol) ||
            is_suppressed_by(kind, frame->place.module) ||
            is_suppressed_by(kind, frame->function) || is_suppressed_by(kind, frame->file))
            return true;
    }
    return false;
}

static bool is_elsewhere(const struct mm_finding *finding)
{
    const struct mm_trace *trace = mm_finding_trace(finding);
    const char *module = trace->count > 0 ? trace->frames[0].place.module : NULL;
    return only != NULL && module != NULL && !mm_suppress_is_in(only, module);
}

bool mm_unwanted(const struct mm_finding *finding)
{
    return is_elsewhere(finding) || is_suppressed(finding);
}
