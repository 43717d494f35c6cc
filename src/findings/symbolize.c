/* symbolize.c - runs a tool for each module of a report, reads what it writes, and fills the frames
 * in. Which tool is found once, at the start, and changes at most once: to the second choice when
 * the first does not start. All else lies in a lookup, which is its holder's alone, but for two
 * flags: that no tool is run any more, and that a changed module was told of. */
#include "findings/symbolize.h"

#include "stacks/module.h"
#include "system/macros.h"
#include <stdatomic.h>
#include <string.h>

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"
#define LOOKUPS      4u
#define WAIT_MS      30000u /* when very many wait; one that hangs makes all go on */

/* Names as in execve(): what makes one write as the others do is an argument more. */
struct tool {
    const char *name, *format;
};
static const struct tool own = {"mmshim-symbolize", NULL};
static const struct tool others[] = {
    {"llvm-symbolizer", "--output-style=GNU"}, {"eu-addr2line", NULL}, {"addr2line", NULL}};

/* The first is asked; the second takes its place. NULL: there is none. */
static struct choice {
    const struct tool *tool;
    char path[512];
} choices[2];
static _Atomic unsigned chosen;
static _Atomic bool given_up, told_changed;
static struct mm_lookup lookups[LOOKUPS] MM_SELDOM;

struct mm_lookup *mm_symbolize_take(void)
{
    uint64_t give_up = mm_os_milliseconds() + WAIT_MS;
    for (unsigned round = 0; choices[0].tool != NULL; mm_os_wait(round++)) {
        if (atomic_load_explicit(&given_up, memory_order_relaxed))
            break;
        for (unsigned i = 0; i < LOOKUPS; i++) {
            if (mm_hold_try(&lookups[i].hold)) {
                lookups[i].changed = NULL;
                return &lookups[i];
            }
        }
        if (mm_os_milliseconds() > give_up)
            break;
    }
    return NULL;
}

void mm_symbolize_end(struct mm_lookup *lookup)
{
    mm_hold_end(&lookup->hold);
}

void mm_symbolize_renew(void)
{
    for (unsigned i = 0; i < LOOKUPS; i++)
        mm_hold_renew(&lookups[i].hold);
}

/* --- finding a tool --- */

/* A folder that is relative depends on where the program is by then. */
static bool find_in_folder(const char *folder, size_t length, const struct tool *tool,
                           struct choice *choice)
{
    struct mm_out out;
    mm_out_start(&out, choice->path, sizeof choice->path);
    for (size_t i = 0; i < length; i++)
        mm_out_format(&out, "%c", folder[i]);
    mm_out_format(&out, "/%s", tool->name);
    bool found = folder[0] == '/' && mm_out_left(&out) > 0 && mm_os_may_execute(choice->path);
    choice->tool = found ? tool : NULL;
    return found;
}

static bool find_tool(const char *search_path, const struct tool *tool, struct choice *choice)
{
    while (*search_path != '\0') {
        size_t length = strcspn(search_path, ":");
        if (find_in_folder(search_path, length, tool, choice))
            return true;
        search_path += length + (search_path[length] == ':');
    }
    return false;
}

/* Beside this library, or where it is installed; never in PATH. */
static bool find_own(struct choice *choice)
{
    struct mm_place place;
    struct mm_place_text text;
    mm_module_place((const void *)mm_symbolize_start, NULL, &place, &text);
    const char *slash = place.module != NULL ? strrchr(place.module, '/') : NULL;
    return (slash != NULL &&
            find_in_folder(place.module, (size_t)(slash - place.module), &own, choice)) ||
           find_in_folder(MM_SYMBOLIZE_FOLDER, strlen(MM_SYMBOLIZE_FOLDER), &own, choice);
}

bool mm_symbolize_start(const char *search_path)
{
    struct choice *choice = &choices[find_own(&choices[0])];
    bool found = false;
    for (size_t i = 0; i < sizeof others / sizeof others[0] && !found; i++)
        found = find_tool(search_path != NULL ? search_path : DEFAULT_PATH, &others[i], choice);
    return choices[0].tool != NULL;
}

/* --- what a tool writes: for each address a line with it, then pairs of lines, function and place,
 * the innermost first --- */

/* The next line of `rest`, ended in place; NULL when there is none. */
static char *next_line(char **rest)
{
    char *line = *rest, *end = strchr(line, '\n');
    if (end == NULL)
        return NULL;
    *end = '\0';
    *rest = end + 1;
    return line;
}

/* Of "0xADDRESS@OFFSET" the offset is of no interest: one variable is asked for. */
static bool read_address(const char *line, size_t *address)
{
    if (strncmp(line, "0x", 2) != 0)
        return false;
    *address = 0;
    for (line += 2; *line != '\0' && *line != '@'; line++) {
        const char *digits = "0123456789abcdef", *digit = strchr(digits, *line);
        if (digit == NULL)
            return false;
        *address = *address * 16 + (size_t)(digit - digits);
    }
    return true;
}

static void cut_at(char *text, const char *part)
{
    char *place = strstr(text, part);
    if (place != NULL)
        *place = '\0';
}

/* Takes ":NUMBER" off the end; "?" stands for 0. */
static bool take_number(char *text, uint64_t *number)
{
    char *colon = strrchr(text, ':');
    if (colon == NULL || colon[1] == '\0')
        return false;
    *number = 0;
    for (const char *at = colon + 1; *at != '\0'; at++) {
        if ((*at < '0' || *at > '9') && *at != '?')
            return false;
        *number = *number * 10 + (uint64_t)(*at == '?' ? 0 : *at - '0');
    }
    *colon = '\0';
    return true;
}

static const char *known(const char *text)
{
    return text[0] != '\0' && strncmp(text, "??", 2) != 0 ? text : NULL;
}

/* What our own tool writes behind a place; the text ends before it from here on. */
static uint64_t take_number_behind(char *text, const char *start)
{
    char *at = strstr(text, start);
    uint64_t number = 0;
    if (at == NULL)
        return 0;
    for (const char *digit = at + strlen(start); *digit >= '0' && *digit <= '9'; digit++)
        number = number * 10 + (uint64_t)(*digit - '0');
    *at = '\0';
    return number;
}

/* FILE:LINE, FILE:LINE:COLUMN, FILE:LINE (discriminator NUMBER), FILE:LINE (function at LINE) or
 * FILE:LINE (generated). */
static void read_place(char *text, struct mm_source *source)
{
    uint64_t number;
    source->is_generated = strstr(text, " (generated)") != NULL;
    cut_at(text, " (generated)");
    source->function_line = take_number_behind(text, " (function at ");
    cut_at(text, " (discriminator");
    for (unsigned i = 0; i < 2 && take_number(text, &number); i++)
        source->line = number;
    source->file = source->line != 0 ? known(text) : NULL;
    if (source->file == NULL)
        source->line = 0;
}

/* "NAME FUNCTION" and "FILE:LINE (variable at INSIDE) (variable of SIZE)". */
static void read_variable(char *name, char *place, struct mm_variable *variable)
{
    struct mm_source at = {0};
    char *function = strchr(name, ' ');
    variable->size = take_number_behind(place, " (variable of ");
    variable->inside = take_number_behind(place, " (variable at ");
    read_place(place, &at);
    if (function != NULL)
        *function++ = '\0';
    /* A place that is not in it tells that it is another's. */
    variable->name = variable->inside < variable->size ? known(name) : NULL;
    variable->function = function != NULL ? known(function) : NULL;
    variable->file = at.file;
    variable->line = at.line;
}

void mm_symbolize_read(char *text, const char *module, struct mm_lookup *lookup)
{
    size_t address = 0;
    bool is_local = false;
    for (char *line, *place; (line = next_line(&text)) != NULL;) {
        if (read_address(line, &address)) {
            is_local = strchr(line, '@') != NULL;
            continue;
        }
        place = next_line(&text);
        if (place == NULL || lookup->source_count == MM_SYMBOLIZE_SOURCES_MAX)
            return;
        if (is_local) {
            read_variable(line, place, &lookup->variable);
            continue;
        }
        struct mm_source *source = &lookup->sources[lookup->source_count];
        *source = (struct mm_source){.module = module, .offset = address};
        cut_at(line, " inlined at ");
        source->function = known(line);
        read_place(place, source);
        lookup->source_count += source->function != NULL || source->file != NULL;
    }
}

/* --- running it --- */

/* Adds one, unless it is there already. */
static unsigned add_address(struct mm_lookup *lookup, unsigned count, size_t offset)
{
    struct mm_out out;
    mm_out_start(&out, lookup->addresses[count], sizeof lookup->addresses[count]);
    mm_out_format(&out, "%x", (uint64_t)offset);
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(lookup->addresses[i], lookup->addresses[count]) == 0)
            return count;
    }
    return count + 1;
}

/* Addresses of one module in all traces of a finding. */
static unsigned list_addresses(const struct mm_trace *const *traces, const char *module,
                               struct mm_lookup *lookup)
{
    unsigned count = 0;
    for (unsigned t = 0; t < 3; t++) {
        for (unsigned i = 0; i < traces[t]->count && count < MM_SYMBOLIZE_FRAMES_MAX; i++) {
            const struct mm_place *place = &traces[t]->frames[i].place;
            if (place->module == module)
                count = add_address(lookup, count, place->module_offset);
        }
    }
    return count;
}

static void set_arguments(struct mm_lookup *lookup, const struct tool *tool, const char *module,
                          unsigned addresses)
{
    const char **next = lookup->arguments;
    *next++ = tool->name;
    if (tool->format != NULL)
        *next++ = tool->format;
    static const char *const always[] = {"-a", "-f", "-i", "-C", "-e"};
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        *next++ = always[i];
    *next++ = module;
    for (unsigned i = 0; i < addresses; i++)
        *next++ = lookup->addresses[i];
    if (tool == &own && lookup->local_module == module)
        *next++ = lookup->local;
    *next = NULL;
}

static bool run(const struct choice *choice, const char *module, unsigned addresses,
                uint64_t give_up, struct mm_lookup *lookup, size_t *length)
{
    static const char *const environment[] = {"PATH=" DEFAULT_PATH, "LC_ALL=C", NULL};
    set_arguments(lookup, choice->tool, module, addresses);
    struct mm_os_command command = {
        .path = choice->path,
        .arguments = lookup->arguments,
        .environment = environment,
        .stack = lookup->stack,
        .stack_size = sizeof lookup->stack,
        .output = lookup->text + lookup->text_length,
        .output_size = sizeof lookup->text - lookup->text_length - 1,
        .give_up = give_up,
    };
    return mm_os_run(&command, length);
}

/* Our own tool repeats each address, whatever it knows: where it does not, its libraries are
 * missing. */
static bool run_what_starts(const char *module, unsigned addresses, uint64_t give_up,
                            struct mm_lookup *lookup, size_t *length)
{
    const struct choice *choice = &choices[atomic_load_explicit(&chosen, memory_order_relaxed)];
    bool done = run(choice, module, addresses, give_up, lookup, length);
    if ((done && *length > 0) || choice->tool != &own)
        return done;
    if (choices[1].tool == NULL)
        return false;
    atomic_store_explicit(&chosen, 1, memory_order_relaxed);
    return run(&choices[1], module, addresses, give_up, lookup, length);
}

/* Where no more fits, frames stay as they are. */
static bool ask(const struct mm_trace *const *traces, const char *module, uint64_t give_up,
                struct mm_lookup *lookup)
{
    size_t length;
    if (sizeof lookup->text - lookup->text_length <= 1)
        return true;
    char *text = lookup->text + lookup->text_length;
    if (!run_what_starts(module, list_addresses(traces, module, lookup), give_up, lookup, &length))
        return false;
    text[length] = '\0';
    lookup->text_length += length + 1;
    mm_symbolize_read(text, module, lookup);
    return true;
}

/* The file at the module's path may be another one than was loaded: replaced meanwhile, or found
 * from another folder. */
static bool is_changed(const struct mm_place *place, struct mm_lookup *lookup)
{
    struct mm_build_id id;
    int fd = place->build_id_size > 0 ? mm_os_open_read(place->module) : -1;
    if (fd < 0)
        return false;
    size_t size = mm_os_read(fd, lookup->stack, sizeof lookup->stack);
    mm_os_close(fd);
    return mm_loaded_build_id_of_file(lookup->stack, size, &id) &&
           (id.size != place->build_id_size || memcmp(id.bytes, place->build_id, id.size) != 0);
}

static void tell_changed(const char *module, struct mm_lookup *lookup)
{
    if (!atomic_exchange_explicit(&told_changed, true, memory_order_relaxed))
        lookup->changed = module;
}

/* Whether an earlier frame is of the same module, which was asked about then. */
static bool was_asked(const struct mm_trace *const *traces, unsigned trace, unsigned frame)
{
    const char *module = traces[trace]->frames[frame].place.module;
    for (unsigned t = 0; t <= trace; t++) {
        unsigned end = t < trace ? traces[t]->count : frame;
        for (unsigned i = 0; i < end; i++) {
            if (traces[t]->frames[i].place.module == module)
                return true;
        }
    }
    return false;
}

/* The kernel's own module has no file. */
static bool is_file(const char *module)
{
    return module != NULL && strchr(module, '/') != NULL;
}

static bool ask_all(const struct mm_trace *const *traces, struct mm_lookup *lookup)
{
    uint64_t give_up = mm_os_milliseconds() + MM_SYMBOLIZE_MS;
    lookup->source_count = 0;
    lookup->text_length = 0;
    lookup->variable = (struct mm_variable){0};
    for (unsigned t = 0; t < 3; t++) {
        for (unsigned i = 0; i < traces[t]->count; i++) {
            const struct mm_place *place = &traces[t]->frames[i].place;
            if (!is_file(place->module) || was_asked(traces, t, i))
                continue;
            if (is_changed(place, lookup))
                tell_changed(place->module, lookup);
            else if (!ask(traces, place->module, give_up, lookup))
                return false;
        }
    }
    return true;
}

/* --- filling in --- */

static void add_frame(struct mm_trace *trace, const struct mm_frame *frame,
                      const struct mm_source *source)
{
    if (trace->count == MM_TRACE_MAX)
        return;
    struct mm_frame *added = &trace->frames[trace->count++];
    *added = *frame;
    if (source != NULL) {
        added->function = source->function;
        added->file = source->file;
        added->line = source->line;
        added->function_line = source->function_line;
        added->is_generated = source->is_generated;
    }
}

static void add_sources(struct mm_trace *trace, const struct mm_frame *frame,
                        const struct mm_lookup *lookup)
{
    bool found = false;
    for (unsigned i = 0; i < lookup->source_count; i++) {
        const struct mm_source *source = &lookup->sources[i];
        if (source->module == frame->place.module && source->offset == frame->place.module_offset) {
            add_frame(trace, frame, source);
            found = true;
        }
    }
    if (!found)
        add_frame(trace, frame, NULL);
}

static void fill_in(struct mm_trace *trace, struct mm_lookup *lookup)
{
    unsigned count = trace->count;
    memcpy(lookup->frames, trace->frames, count * sizeof *lookup->frames);
    trace->count = 0;
    for (unsigned i = 0; i < count; i++)
        add_sources(trace, &lookup->frames[i], lookup);
}

/* By the frame's module and the address there. */
static void ask_for_local(const struct mm_finding *finding, struct mm_lookup *lookup)
{
    struct mm_out out;
    lookup->local_module = NULL;
    for (unsigned i = 0; i < finding->bad.count; i++) {
        const struct mm_frame *frame = &finding->bad.frames[i];
        if (finding->local.frame == NULL || frame->address != finding->local.frame)
            continue;
        lookup->local_module = frame->place.module;
        mm_out_start(&out, lookup->local, sizeof lookup->local);
        mm_out_format(&out, "%x@%d", (uint64_t)frame->place.module_offset,
                      (int64_t)finding->local.offset);
    }
}

bool mm_symbolize(struct mm_finding *finding, struct mm_lookup *lookup)
{
    ask_for_local(finding, lookup);
    struct mm_trace *const traces[] = {&finding->bad, &finding->freed, &finding->allocated};
    if (!ask_all((const struct mm_trace *const *)traces, lookup))
        return atomic_exchange_explicit(&given_up, true, memory_order_relaxed);
    for (unsigned t = 0; t < 3; t++)
        fill_in(traces[t], lookup);
    return true;
}
