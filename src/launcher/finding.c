/* finding.c - reads one finding of a JSON log; see finding.h. Nothing is kept but the source root.
 */
#include "launcher/finding.h"

#include "launcher/base.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CERTAIN = true, POSSIBLE = false };
const struct launcher_kind launcher_kinds[] = {
#define KIND(enumerator, name, word, certainty, rule, headline, sentence)                          \
    {name, rule, headline, sentence, certainty},
#include "findings/kinds.def"
#undef KIND
};
const size_t launcher_kind_count = sizeof launcher_kinds / sizeof launcher_kinds[0];

const struct launcher_history launcher_history[] = {
    {"freed", "first freed by"},
    {"allocated", "allocated by"},
    {"freed_before", "freed before by"},
    {"allocated_before", "allocated before by"},
};
const size_t launcher_history_count = sizeof launcher_history / sizeof launcher_history[0];

const char *launcher_text_of(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : otherwise;
}

size_t launcher_kind_of(const json_t *finding)
{
    const char *name = launcher_text_of(finding, "kind", "?");
    size_t kind = 0;
    while (kind < launcher_kind_count && strcmp(launcher_kinds[kind].name, name) != 0)
        kind++;
    return kind;
}

/* --- sources --- */

static char *root;

/* Without links where it is there; else only made absolute. */
static char *absolute(const char *folder, const char *here)
{
    char *real = realpath(folder, NULL);
    if (real != NULL)
        return real;
    return *folder == '/' ? launcher_text("%s", folder) : launcher_text("%s/%s", here, folder);
}

/* The working directory is as the shell knows it. */
void launcher_set_source_root(const char *folder)
{
    char *here = get_current_dir_name();
    if (here == NULL)
        launcher_die("no working directory: %s", strerror(errno));
    char *path = folder != NULL ? absolute(folder, here) : here;
    for (size_t length = strlen(path); length > 0 && path[length - 1] == '/'; length--)
        path[length - 1] = '\0';
    root = launcher_text("%s/", path);
}

const char *launcher_source_root(void)
{
    if (root == NULL)
        launcher_set_source_root(NULL);
    return root;
}

static bool is_own(const char *path)
{
    return launcher_behind(path, launcher_source_root()) != NULL;
}

const char *launcher_shown_path(const char *path)
{
    const char *relative = launcher_behind(path, launcher_source_root());
    return relative != NULL ? relative : path;
}

/* --- frames --- */

bool launcher_has_line(const json_t *frame)
{
    return launcher_text_of(frame, "file", NULL) != NULL && json_object_get(frame, "line") != NULL;
}

static json_int_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

const char *launcher_function_of(const json_t *frame)
{
    return launcher_text_of(frame, "function",
                            launcher_text_of(frame, "symbol", "unknown function"));
}

static const char *module_of(const json_t *frame)
{
    return launcher_base_name(launcher_text_of(frame, "module", "?"));
}

char *launcher_frame_text(const json_t *frame)
{
    if (launcher_has_line(frame))
        return launcher_text("%s %s:%" JSON_INTEGER_FORMAT, launcher_function_of(frame),
                             launcher_shown_path(launcher_text_of(frame, "file", "")),
                             number_of(frame, "line"));
    return launcher_text("%s (%s+%s)", launcher_function_of(frame), module_of(frame),
                         launcher_text_of(frame, "offset", "?"));
}

char *launcher_thread_text(const json_t *part)
{
    const json_t *thread = json_object_get(part, "thread");
    return launcher_text("thread %" JSON_INTEGER_FORMAT " (%s)", number_of(thread, "id"),
                         launcher_text_of(thread, "name", "?"));
}

/* --- whose frame --- */

/* The list that a process itself judges by; see findings/own.h. */
static const struct pattern {
    enum of { OF_MODULE, OF_FUNCTION, OF_SOURCE, OF_START, OF_ASIDE } of;
    const char *text; /* ^ and $ stand for the start and the end of a name */
} patterns[] = {
#define PATTERN(kind, text) {OF_##kind, text},
#include "findings/own.def"
};

static bool fits(const char *pattern, const char *name)
{
    bool is_start = *pattern == '^';
    const char *part = pattern + is_start;
    size_t length = strlen(part), all = strlen(name);
    bool is_end = length > 0 && part[length - 1] == '$';
    length -= is_end;
    if (length > all)
        return false;
    if (is_start)
        return memcmp(name, part, length) == 0 && (!is_end || length == all);
    return is_end ? memcmp(name + all - length, part, length) == 0
                  : memmem(name, all, part, length) != NULL;
}

/* False for NULL. */
static bool is_one_of(enum of of, const char *name)
{
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns && name != NULL; i++) {
        if (patterns[i].of == of && fits(patterns[i].text, name))
            return true;
    }
    return false;
}

/* By the compiler: there is no line of it to change. */
static bool is_generated(const json_t *frame)
{
    return json_is_true(json_object_get(frame, "generated"));
}

bool launcher_only_passes_on(const json_t *frame)
{
    const char *file = launcher_text_of(frame, "file", NULL);
    return is_generated(frame) || is_one_of(OF_MODULE, launcher_text_of(frame, "module", NULL)) ||
           is_one_of(OF_FUNCTION, launcher_text_of(frame, "function", NULL)) ||
           (file == NULL && is_one_of(OF_FUNCTION, launcher_text_of(frame, "symbol", NULL))) ||
           is_one_of(OF_SOURCE, file);
}

static bool starts_the_program(const json_t *frame)
{
    const char *name = launcher_text_of(frame, "function", launcher_text_of(frame, "symbol", NULL));
    return name != NULL ? is_one_of(OF_START, name)
                        : is_one_of(OF_MODULE, launcher_text_of(frame, "module", NULL));
}

const json_t *launcher_culprit_of(const json_t *part)
{
    const json_t *frames = json_object_get(part, "frames"), *with_line = NULL, *of_program = NULL;
    const json_t *frame;
    size_t i;
    json_array_foreach(frames, i, frame)
    {
        if (launcher_only_passes_on(frame))
            continue;
        if (launcher_has_line(frame) && is_own(launcher_text_of(frame, "file", "")))
            return frame;
        if (with_line == NULL && launcher_has_line(frame))
            with_line = frame;
        if (of_program == NULL)
            of_program = frame;
    }
    if (with_line != NULL)
        return with_line;
    return of_program != NULL ? of_program : json_array_get(frames, 0);
}

const json_t *launcher_part_to_blame(const json_t *finding, const char **word)
{
    const json_t *freed = json_object_get(finding, "freed");
    const json_t *allocated = json_object_get(finding, "allocated");
    bool is_late = json_object_get(finding, "damage") != NULL ||
                   json_object_get(finding, "leak") != NULL ||
                   json_object_get(finding, "dangling") != NULL;
    *word = !is_late || (freed == NULL && allocated == NULL) ? "in"
            : freed != NULL                                  ? "of a block freed in"
                                                             : "of a block allocated in";
    return **word == 'i' ? finding : freed != NULL ? freed : allocated;
}

char *launcher_place_text(const json_t *frame)
{
    const char *name = launcher_text_of(frame, "function", launcher_text_of(frame, "symbol", NULL));
    if (launcher_has_line(frame))
        return launcher_text("%s (%s:%" JSON_INTEGER_FORMAT ")", launcher_function_of(frame),
                             launcher_shown_path(launcher_text_of(frame, "file", "")),
                             number_of(frame, "line"));
    if (launcher_text_of(frame, "offset", NULL) == NULL)
        return launcher_text("%s", launcher_function_of(frame));
    return launcher_text("%s%s%s+%s%s", name != NULL ? name : "", name != NULL ? " (" : "",
                         module_of(frame), launcher_text_of(frame, "offset", "?"),
                         name != NULL ? ")" : "");
}

/* --- the same bug --- */

/* By lines within the function, so that what is changed above it doesn't matter; else by addresses
 * within it, or within the module. */
static char *frame_identity(const json_t *frame)
{
    const char *name = launcher_text_of(frame, "function", launcher_text_of(frame, "symbol", NULL));
    const char *offset = launcher_text_of(frame, "symbol_offset", NULL);
    if (name == NULL)
        return launcher_text("%s+%s", module_of(frame), launcher_text_of(frame, "offset", "?"));
    if (is_generated(frame))
        return launcher_text("%s", name);
    if (launcher_has_line(frame) && json_object_get(frame, "function_line") != NULL)
        return launcher_text("%s:%+" JSON_INTEGER_FORMAT, name,
                             number_of(frame, "line") - number_of(frame, "function_line"));
    if (offset != NULL)
        return launcher_text("%s+%s", name, offset);
    if (launcher_has_line(frame))
        return launcher_text("%s:%" JSON_INTEGER_FORMAT, name, number_of(frame, "line"));
    return launcher_text("%s", name);
}

/* What starts the program, behind its main() or a thread's function, is another in each libc. */
size_t launcher_own_frames(const json_t *part)
{
    const json_t *frames = json_object_get(part, "frames");
    size_t count = json_array_size(frames), kept = count;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(launcher_function_of(json_array_get(frames, i)), "main") == 0)
            return i + 1;
    }
    while (kept > 0 && starts_the_program(json_array_get(frames, kept - 1)))
        kept--;
    return kept > 0 ? kept : count;
}

/* A line for each frame; "" without frames. */
static char *stack_identity(const json_t *part)
{
    const json_t *frames = json_object_get(part, "frames");
    size_t count = launcher_own_frames(part);
    char *text = launcher_text("%s", "");
    for (size_t i = 0; i < count; i++) {
        const json_t *frame = json_array_get(frames, i);
        if (launcher_behind(module_of(frame), "libmmshim.so") != NULL)
            continue;
        char *shorter = text, *name = frame_identity(frame);
        text = launcher_text("%s%s\n", shorter, name);
        free(shorter);
        free(name);
    }
    return text;
}

struct launcher_identity launcher_identity_of(const json_t *finding)
{
    const char *kind = launcher_text_of(finding, "kind", "?"), *word;
    const json_t *blamed = launcher_part_to_blame(finding, &word);
    const json_t *allocated = json_object_get(finding, "allocated");
    char *stack = stack_identity(blamed);
    struct launcher_identity identity = {
        .place = launcher_text("%s\n%s", kind, stack),
        .detail = stack_identity(blamed == finding ? json_object_get(finding, "freed") : allocated),
    };
    free(stack);
    return identity;
}
