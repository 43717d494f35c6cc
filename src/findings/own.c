/* own.c - see own.h. Keeps what MM_WRAPPERS says, set once at the start; all else is the caller's.
 */
#include "findings/own.h"

#include "findings/demangle.h"
#include "findings/suppress.h"
#include <string.h>

#define CALL_SHOWN 40u /* characters of a name in a call */

static const char *wrappers; /* NULL: none */

static const struct pattern {
    enum of { OF_MODULE, OF_FUNCTION, OF_SOURCE, OF_START, OF_ASIDE } of;
    const char *text;
} patterns[] = {
#define PATTERN(kind, text) {OF_##kind, text},
#include "findings/own.def"
};

void mm_own_start(const char *wanted)
{
    wrappers = wanted;
}

/* False for NULL. */
static bool is_one_of(enum of of, const char *name)
{
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns && name != NULL; i++) {
        if (patterns[i].of == of && mm_suppress_is(patterns[i].text, name))
            return true;
    }
    return false;
}

bool mm_own_is_aside(const char *module)
{
    return is_one_of(OF_ASIDE, module);
}

static bool is_wrapper(const char *name)
{
    return name != NULL && wrappers != NULL && mm_suppress_is_in(wrappers, name);
}

/* --- a function as tools write it --- */

/* Behind "operator", where brackets are a name's. */
static const char *behind_operator(const char *at)
{
    static const char word[] = "operator";
    if (strncmp(at, word, sizeof word - 1) != 0)
        return at;
    at += sizeof word - 1;
    return strncmp(at, "()", 2) == 0 ? at + 2 : at + strspn(at, "<>=-+*/%&|^!~,[]");
}

/* Behind what is bracketed there; `at` where nothing is. */
static const char *behind_brackets(const char *at)
{
    unsigned depth = 0;
    const char *start = at;
    for (; *at != '\0'; at++) {
        if (*at == '<' || *at == '(' || *at == '{' || *at == '[')
            depth++;
        else if (*at == '>' || *at == ')' || *at == '}' || *at == ']')
            depth--;
        if (depth == 0)
            return at + (at > start);
    }
    return at;
}

/* A part of a name in brackets. */
static bool is_named(const char *at)
{
    return strncmp(at, "(anonymous namespace)", 21) == 0 || *at == '{';
}

/* Behind what the function returns, which only templates tell. */
static const char *name_of(const char *function)
{
    const char *name = function;
    for (const char *at = function; *at != '\0';) {
        const char *behind = behind_operator(at);
        if (behind != at)
            return name;
        if (*at == '(' && !is_named(at))
            return name;
        at = *at == '<' || is_named(at) ? behind_brackets(at) : at + 1;
        if (at[-1] == ' ')
            name = at;
    }
    return name;
}

/* All of it goes through here: what is shown, and how long it is. */
static void write_part(struct mm_out *out, const char *from, const char *to)
{
    mm_out_part(out, from, (size_t)(to - from));
}

static void write_name(struct mm_out *out, const char *at)
{
    while (*at != '\0') {
        const char *behind = behind_operator(at);
        if (behind != at) { /* that of a conversion, and of new, is words up to the bracket */
            const char *end = behind + strcspn(behind, "<(");
            write_part(out, at, end);
            at = end;
        } else if (*at == '<') {
            mm_out_format(out, "<...>");
            at = behind_brackets(at);
        } else if (*at == '(' && !is_named(at)) {
            return;
        } else {
            size_t bytes = mm_out_character(at);
            const char *end = is_named(at) ? behind_brackets(at) : at + (bytes > 0 ? bytes : 1);
            write_part(out, at, end);
            at = end;
        }
    }
}

/* What is longer loses its beginning: whole scopes, if that is enough. */
static void shorten(struct mm_out *out, size_t before, size_t most)
{
    static const char cut[] = {'.', '.', '.'};
    size_t length = out->length - before;
    if (length <= most || most <= sizeof cut)
        return;
    char *start = out->buffer + before;
    size_t excess = length - most;
    const char *scope = strstr(start + (excess > 2 ? excess - 2 : 0), "::");
    bool by_scopes = scope != NULL && scope[2] != '\0';
    const char *kept = by_scopes ? scope + 2 : start + excess + sizeof cut;
    while ((*kept & 0xc0) == 0x80)
        kept++;
    size_t left = (size_t)(start + length - kept), to = by_scopes ? 0 : sizeof cut;
    memmove(start + to, kept, left);
    memcpy(start, cut, to);
    mm_out_back_to(out, before + to + left);
}

void mm_own_write_function(struct mm_out *out, const char *function, size_t most)
{
    size_t before = out->length;
    write_name(out, name_of(function));
    shorten(out, before, most);
}

static bool is_of_runtime(const struct mm_frame *frame)
{
    return is_one_of(OF_MODULE, frame->place.module);
}

/* libc's debug information has its own names for what it exports. */
static bool is_named_by_symbol(const struct mm_frame *frame)
{
    const char *symbol = frame->place.symbol;
    return frame->function == NULL || (symbol != NULL && symbol[0] != '_' &&
                                       frame->function[0] == '_' && is_of_runtime(frame));
}

bool mm_own_write_name(struct mm_out *out, const struct mm_frame *frame, size_t most)
{
    size_t before = out->length;
    const char *symbol = frame->place.symbol;
    if (!is_named_by_symbol(frame))
        mm_own_write_function(out, frame->function, most);
    else if (symbol != NULL && !mm_demangle(out, symbol))
        mm_out_cut(out, symbol, most);
    shorten(out, before, most);
    return out->length > before;
}

/* --- whose a frame is --- */

static bool is_wrapping(const struct mm_frame *frame)
{
    const char *name = frame->function != NULL ? name_of(frame->function) : NULL;
    return is_one_of(OF_FUNCTION, name) ||
           (frame->file == NULL && is_one_of(OF_FUNCTION, frame->place.symbol)) ||
           is_one_of(OF_SOURCE, frame->file) || is_wrapper(name) ||
           is_wrapper(frame->place.symbol) || is_wrapper(frame->place.module);
}

static bool is_start(const struct mm_frame *frame)
{
    return is_one_of(OF_START, frame->function) || is_one_of(OF_START, frame->place.symbol);
}

bool mm_own_is(const struct mm_frame *frame)
{
    return frame->place.module != NULL && !frame->is_generated && !is_of_runtime(frame) &&
           !is_wrapping(frame) && !is_start(frame);
}

/* Below the last own frame nothing is of interest, but for _start, of which a stripped program
 * tells no name: what calls libc's start of main(). */
static unsigned without_start(const struct mm_trace *trace)
{
    unsigned end = trace->count;
    const struct mm_frame *last = end > 1 ? &trace->frames[end - 1] : NULL;
    if (last != NULL && last->function == NULL && last->place.symbol == NULL &&
        is_of_runtime(last - 1))
        end--;
    while (end > 1 && !mm_own_is(&trace->frames[end - 1]))
        end--;
    return end;
}

void mm_own_judge(struct mm_trace *trace)
{
    trace->shown = without_start(trace);
    trace->own = 0;
    while (trace->own < trace->count && !mm_own_is(&trace->frames[trace->own]))
        trace->own++;
    if (trace->own == trace->count)
        trace->shown = trace->count;
}

/* --- the call --- */

/* The outermost of those between. */
static const struct mm_frame *outermost(const struct mm_trace *trace)
{
    unsigned i = trace->own < trace->count ? trace->own : 0;
    while (i-- > 0) {
        const struct mm_frame *frame = &trace->frames[i];
        if (frame->function != NULL || frame->place.symbol != NULL)
            return frame;
    }
    return NULL;
}

void mm_own_write_call(struct mm_out *out, const struct mm_trace *trace)
{
    const struct mm_frame *frame = outermost(trace);
    size_t before = out->length;
    bool has_name = frame != NULL && mm_own_write_name(out, frame, CALL_SHOWN);
    if (trace->call == NULL || (has_name && strcmp(out->buffer + before, trace->call) == 0))
        return;
    mm_out_format(out, "%s%s", has_name ? " \xe2\x86\x92 " : "", trace->call);
}
