/* sources.c - finds the file of each module, and asks a tool about it; see sources.h. What is
 * wanted is one array: in the order of coming first, then sorted by module and offset, so that
 * those of a module lie together and an answer is found by halving. */
#include "launcher/sources.h"

#include "launcher/base.h"
#include "launcher/elf.h"
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct launcher_answer *wanted;
static size_t wanted_count;

/* One for each module: frames are many, modules few. */
static struct launcher_place *modules;
static size_t module_count;

/* --- what is wanted --- */

static int compare(const void *left, const void *right)
{
    const struct launcher_place *a = left, *b = right;
    int order = strcmp(a->module, b->module);
    if (order == 0)
        order = strcmp(a->build_id, b->build_id);
    return order != 0 ? order : (a->offset > b->offset) - (a->offset < b->offset);
}

static const struct launcher_place *module_of(const struct launcher_place *place)
{
    for (size_t i = 0; i < module_count; i++) {
        if (strcmp(modules[i].module, place->module) == 0 &&
            strcmp(modules[i].build_id, place->build_id) == 0)
            return &modules[i];
    }
    modules = launcher_grow(modules, module_count, sizeof *modules);
    modules[module_count] = (struct launcher_place){
        .module = launcher_text("%s", place->module),
        .build_id = launcher_text("%s", place->build_id),
    };
    return &modules[module_count++];
}

void launcher_sources_want(const struct launcher_place *place)
{
    wanted = launcher_grow(wanted, wanted_count, sizeof *wanted);
    wanted[wanted_count] = (struct launcher_answer){.place = *module_of(place)};
    wanted[wanted_count++].place.offset = place->offset;
}

static void sort_wanted(void)
{
    size_t kept = 0;
    if (wanted_count > 0)
        qsort(wanted, wanted_count, sizeof *wanted, compare);
    for (size_t i = 0; i < wanted_count; i++) {
        if (i == 0 || compare(&wanted[i], &wanted[kept - 1]) != 0)
            wanted[kept++] = wanted[i];
    }
    wanted_count = kept;
}

/* A place is the first member of an answer. */
static struct launcher_answer *find(const struct launcher_place *place)
{
    return wanted_count > 0 ? bsearch(place, wanted, wanted_count, sizeof *wanted, compare) : NULL;
}

const struct launcher_answer *launcher_sources_find(const struct launcher_place *place)
{
    const struct launcher_answer *answer = find(place);
    return answer != NULL && answer->count > 0 ? answer : NULL;
}

/* --- the file of a module --- */

/* Any ELF file, where the build-id is not known. */
static bool is_of(const char *path, const char *build_id)
{
    struct launcher_elf elf;
    char digits[2 * LAUNCHER_BUILD_ID + 1];
    bool same = launcher_elf_open(&elf, path) &&
                (*build_id == '\0' ||
                 (launcher_elf_build_id(&elf, digits) && strcmp(digits, build_id) == 0));
    launcher_elf_close(&elf);
    return same;
}

static char *by_build_id(const char *folder, const char *build_id)
{
    return launcher_text("%s/.build-id/%.2s/%s.debug", folder, build_id,
                         strlen(build_id) > 2 ? build_id + 2 : "");
}

/* nftw() passes nothing on. */
static const char *looked_for;
static char *found;

static int look_at(const char *path, const struct stat *status, int type, struct FTW *depth)
{
    (void)status;
    (void)depth;
    if (type != FTW_F || !is_of(path, looked_for))
        return 0;
    found = launcher_copy(path, strlen(path));
    return 1;
}

static char *find_below(const char *folder, const char *build_id)
{
    looked_for = build_id;
    found = NULL;
    nftw(folder, look_at, 16, FTW_PHYS);
    return found;
}

/* The debugging information by its build-id, or the module itself where it is still the one that
 * ran, or any file of the folders. NULL: none of these. */
static char *file_of(const struct launcher_place *place, const char *const *folders)
{
    char *path;
    for (const char *const *folder = folders; *folder != NULL; folder++) {
        path = by_build_id(*folder, place->build_id);
        if (is_of(path, place->build_id))
            return path;
    }
    path = by_build_id("/usr/lib/debug", place->build_id);
    if (is_of(path, place->build_id))
        return path;
    path = launcher_text("%s", place->module);
    if (is_of(path, place->build_id))
        return path;
    path = NULL;
    for (; *folders != NULL && path == NULL && *place->build_id != '\0'; folders++)
        path = find_below(*folders, place->build_id);
    return path;
}

/* --- tools --- */

static const struct tool {
    const char *name, *format; /* an argument that makes it write as the others do */
} tools[] = {{"mmshim-symbolize", NULL},
             {"llvm-symbolizer", "--output-style=GNU"},
             {"eu-addr2line", NULL},
             {"addr2line", NULL}};
#define TOOLS (sizeof tools / sizeof tools[0])

static const struct tool *tool; /* the one that is asked */
static char *tool_path;

/* Ours lies beside the shim in a build directory, in libexec when installed; never in PATH. */
static char *find_own(void)
{
    const char *home = launcher_home();
    char *places[] = {launcher_text("%s/mmshim-symbolize", home),
                      launcher_text("%s/../mmshim-symbolize", home),
                      launcher_text("%s/../libexec/mmshim/mmshim-symbolize", home),
                      launcher_text("%s/mmshim-symbolize", MM_SYMBOLIZE_FOLDER)};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], X_OK) == 0)
            return places[i];
    }
    return NULL;
}

/* The next one that is there. */
static void take_tool(void)
{
    for (tool = tool != NULL ? tool + 1 : tools; tool < tools + TOOLS; tool++) {
        tool_path = tool == tools ? find_own() : launcher_in_path(tool->name);
        if (tool_path != NULL)
            return;
    }
    launcher_die("symbolize needs llvm-symbolizer, eu-addr2line or addr2line");
}

/* --- what a tool writes: for each address a line with it, then pairs of lines, function and place,
 * the innermost first --- */

static void add_source(struct launcher_answer *answer, const char *function,
                       const struct launcher_source *source)
{
    if (strcmp(function, "??") == 0)
        return;
    answer->sources = launcher_grow(answer->sources, answer->count, sizeof *answer->sources);
    answer->sources[answer->count] = *source;
    answer->sources[answer->count++].function = launcher_copy(function, strlen(function));
}

/* Cuts it off from there on; NULL where it is not found. */
static const char *take_behind(char *text, const char *start)
{
    char *at = strstr(text, start);
    if (at == NULL)
        return NULL;
    *at = '\0';
    return at + strlen(start);
}

/* FILE:LINE, FILE:LINE:COLUMN, FILE:LINE (discriminator NUMBER) or, of our own tool, FILE:LINE
 * (function at LINE) and FILE:LINE (generated); ?? and 0 where not known. */
static struct launcher_source read_place(char *text)
{
    struct launcher_source source = {0};
    const char *function_line = take_behind(text, " (function at ");
    if (function_line != NULL)
        source.function_line = strtoul(function_line, NULL, 10);
    source.is_generated = take_behind(text, " (generated)") != NULL;
    take_behind(text, " (discriminator ");
    for (unsigned i = 0; i < 2; i++) {
        char *colon = strrchr(text, ':'), *behind;
        unsigned long line = colon != NULL ? strtoul(colon + 1, &behind, 10) : 0;
        if (colon == NULL || behind == colon + 1 || *behind != '\0')
            break;
        source.line = line;
        *colon = '\0';
    }
    if (source.line > 0 && launcher_behind(text, "??") == NULL)
        source.file = launcher_copy(text, strlen(text));
    return source;
}

static bool read_address(const char *line, uint64_t *address)
{
    char *end;
    if (launcher_behind(line, "0x") == NULL)
        return false;
    *address = strtoull(line, &end, 16);
    return *end == '\0';
}

static size_t read_line(FILE *file, char **line, size_t *capacity)
{
    ssize_t length = getline(line, capacity, file);
    if (length > 0 && (*line)[length - 1] == '\n')
        (*line)[--length] = '\0';
    return length >= 0 ? (size_t)length + 1 : 0;
}

/* False when it wrote nothing at all. */
static bool read_answers(FILE *output, struct launcher_place place)
{
    char *line = NULL, *function = NULL;
    size_t capacity = 0, function_capacity = 0;
    bool any = false;
    struct launcher_answer *answer = NULL;
    while (read_line(output, &line, &capacity) > 0) {
        any = true;
        if (read_address(line, &place.offset)) {
            answer = find(&place);
            continue;
        }
        char *inlined_at = strstr(line, " inlined at ");
        if (inlined_at != NULL)
            *inlined_at = '\0';
        function = launcher_resize(function, function_capacity = strlen(line) + 1);
        memcpy(function, line, function_capacity);
        if (read_line(output, &line, &capacity) == 0)
            break;
        struct launcher_source source = read_place(line);
        if (answer != NULL)
            add_source(answer, function, &source);
    }
    free(line);
    free(function);
    return any;
}

/* --- asking --- */

/* A file, so that neither side ever waits for the other. */
static FILE *addresses_of(const struct launcher_answer *first, size_t count)
{
    FILE *file = tmpfile();
    if (file == NULL)
        launcher_die("symbolize needs a folder for temporary files");
    for (size_t i = 0; i < count; i++)
        fprintf(file, "0x%llx\n", (unsigned long long)first[i].place.offset);
    rewind(file);
    return file;
}

/* `path` NULL: by the build-id. */
static bool ask_tool(const char *path, const struct launcher_answer *first, size_t count)
{
    struct launcher_question question;
    const char *arguments[] = {tool->name,
                               "-a",
                               "-f",
                               "-i",
                               "-C",
                               path != NULL ? "-e" : "-b",
                               path != NULL ? path : first->place.build_id,
                               tool->format,
                               NULL};
    FILE *addresses = addresses_of(first, count);
    bool any = false;
    if (launcher_ask(&question, tool_path, (char *const *)arguments, NULL, fileno(addresses),
                     false)) {
        any = read_answers(question.output, first->place);
        launcher_answered(&question);
    }
    fclose(addresses);
    return any;
}

/* Our own tool gets it from a server, if the user has named one. */
static bool may_be_fetched(const struct launcher_place *place)
{
    const char *servers = getenv("DEBUGINFOD_URLS");
    return tool == tools && servers != NULL && *servers != '\0' && *place->build_id != '\0';
}

static bool is_known(const struct launcher_answer *first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (first[i].count > 0)
            return true;
    }
    return false;
}

static void ask_about(const struct launcher_answer *first, size_t count, const char *const *folders)
{
    const struct launcher_place *place = &first->place;
    char *path = file_of(place, folders);
    if (path == NULL) {
        if (may_be_fetched(place) && ask_tool(NULL, first, count) && is_known(first, count))
            return;
        launcher_say("%s: no such file here%s%s", place->module,
                     *place->build_id != '\0' ? " with build-id " : "", place->build_id);
        return;
    }
    /* Ours tells each address that it is asked about: where it does not, its libraries are missing.
     */
    while (!ask_tool(path, first, count) && tool == tools)
        take_tool();
    free(path);
}

void launcher_sources_ask(const char *const *debug_folders)
{
    sort_wanted();
    take_tool();
    for (size_t i = 0, next; i < wanted_count; i = next) {
        for (next = i + 1; next < wanted_count; next++) {
            if (strcmp(wanted[next].place.module, wanted[i].place.module) != 0 ||
                strcmp(wanted[next].place.build_id, wanted[i].place.build_id) != 0)
                break;
        }
        ask_about(&wanted[i], next - i, debug_folders);
    }
}
