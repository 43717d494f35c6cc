/* symbolizer.c - the program mmshim-symbolize: function, file and line of addresses in one module,
 * by elfutils' libdwfl, which also finds separate debugging information: by build-id, by
 * .gnu_debuglink, by debuginfod where its library and DEBUGINFOD_URLS are there.
 *
 *   mmshim-symbolize [-a] [-f] [-i] [-C] {-e FILE | -b BUILD-ID} [ADDRESS[@OFFSET]...]
 *
 * Without addresses they come from stdin, one a line. With -b the file is one that debuginfod has.
 * It is asked as addr2line is and answers as that does with these four flags, which are taken for
 * granted: for each address a line with it, then pairs of lines, function and FILE:LINE, the
 * innermost of inlined functions first; ?? and 0 for what is not known. Behind FILE:LINE stands
 * " (function at LINE)", where the function begins, if that is known and in the same file.
 * (generated) stands there instead of a function that the compiler made, such as a destructor that
 * nobody wrote. Of ADDRESS@OFFSET it tells the variable that lies there in the function's frame, so
 * many bytes from the frame's end: "NAME FUNCTION" and
 * "FILE:LINE (variable at BYTES) (variable of SIZE)".
 * Addresses may come by thousands, so what libdw would walk through for each of them is read once
 * and sorted: a module's symbols, a compile unit's functions. */
#include "launcher/variables.h"

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEEPEST 256 /* functions inlined in each other */
#define NESTED  16  /* spans that start behind a larger one's start, and end before its end */

/* Of the C++ library, which has no header for it in C. */
extern char *__cxa_demangle(const char *name, char *buffer, size_t *length, int *status);

struct span {
    uint64_t start, end;
    size_t order; /* as read: the first of two of the same start is taken */
    union {
        Dwarf_Die die;
        const char *name;
    };
};

struct spans {
    struct span *list;
    size_t count, capacity;
};

/* Of one compile unit. */
struct unit {
    Dwarf_Off offset;
    struct spans functions;
};

static Dwfl *dwfl;
static Dwfl_Module *module;
static uint64_t bias;          /* from the file's addresses to libdwfl's */
static Dwarf_Addr dwarf_bias;  /* from the debugging information's */
static struct spans symbols;   /* of libdwfl's addresses */
static struct spans unit_dies; /* of the debugging information's */
static struct unit *units;
static size_t unit_count;

/* --- spans of addresses --- */

static void *resize(void *memory, size_t size)
{
    memory = realloc(memory, size);
    if (memory == NULL) {
        fputs("mmshim-symbolize: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

static struct span *add_span(struct spans *spans, uint64_t start, uint64_t end)
{
    if (spans->count == spans->capacity) {
        spans->capacity = spans->capacity > 0 ? 2 * spans->capacity : 64;
        spans->list = resize(spans->list, spans->capacity * sizeof *spans->list);
    }
    struct span *span = &spans->list[spans->count];
    span->start = start;
    span->end = end;
    span->order = spans->count++;
    return span;
}

static int compare(const void *left, const void *right)
{
    const struct span *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return a->order > b->order ? -1 : 1;
}

static void sort(struct spans *spans)
{
    if (spans->count > 0)
        qsort(spans->list, spans->count, sizeof *spans->list, compare);
}

/* The last that starts at the address or before and reaches it; NULL when none near does. */
static const struct span *find(const struct spans *spans, uint64_t address)
{
    size_t low = 0, high = spans->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (spans->list[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i > 0 && low - i < NESTED; i--) {
        if (address < spans->list[i - 1].end)
            return &spans->list[i - 1];
    }
    return NULL;
}

/* --- the symbol table, for what has no debugging information --- */

/* A size of 0 is that of most labels in assembly: up to the next one, unless inside of another. */
static void settle_labels(struct spans *spans)
{
    uint64_t covered = 0;
    size_t kept = 0;
    for (size_t i = 0; i < spans->count; i++) {
        struct span span = spans->list[i];
        if (span.end == span.start && span.start < covered)
            continue;
        if (span.end == span.start)
            span.end = i + 1 < spans->count ? spans->list[i + 1].start : UINT64_MAX;
        else if (span.end > covered)
            covered = span.end;
        spans->list[kept++] = span;
    }
    spans->count = kept;
}

/* Not those that only tell code from data, as on ARM. */
static bool is_of_code(const char *name, const GElf_Sym *symbol, GElf_Word section)
{
    unsigned type = GELF_ST_TYPE(symbol->st_info);
    return name != NULL && *name != '\0' && *name != '$' && section != SHN_UNDEF &&
           section != SHN_ABS && (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE);
}

/* Seldom needed, and large. */
static void read_symbols(void)
{
    static bool done;
    if (done || module == NULL)
        return;
    done = true;
    int count = dwfl_module_getsymtab(module);
    for (int i = 0; i < count; i++) {
        GElf_Sym symbol;
        GElf_Addr address;
        GElf_Word section;
        const char *name =
            dwfl_module_getsym_info(module, i, &symbol, &address, &section, NULL, NULL);
        if (is_of_code(name, &symbol, section))
            add_span(&symbols, address, address + symbol.st_size)->name = name;
    }
    sort(&symbols);
    settle_labels(&symbols);
}

/* --- functions of a compile unit --- */

static void add_ranges(struct spans *spans, Dwarf_Die *die)
{
    Dwarf_Addr base, start, end;
    for (ptrdiff_t at = 0; (at = dwarf_ranges(die, at, &base, &start, &end)) > 0;) {
        if (end > start)
            add_span(spans, start, end)->die = *die;
    }
}

static bool may_hold_functions(int tag)
{
    return tag == DW_TAG_namespace || tag == DW_TAG_module || tag == DW_TAG_class_type ||
           tag == DW_TAG_structure_type || tag == DW_TAG_union_type || tag == DW_TAG_subprogram ||
           tag == DW_TAG_lexical_block;
}

/* Functions may lie in others (GNU C, Ada, lambdas); the inner one starts later, and is found. */
static void add_functions(struct unit *unit, Dwarf_Die *parent)
{
    Dwarf_Die die;
    if (dwarf_child(parent, &die) != 0)
        return;
    do {
        int tag = dwarf_tag(&die);
        if (tag == DW_TAG_subprogram)
            add_ranges(&unit->functions, &die);
        if (may_hold_functions(tag))
            add_functions(unit, &die);
    } while (dwarf_siblingof(&die, &die) == 0);
}

/* With split debugging information the functions are in the other half. */
static struct unit *unit_of(Dwarf_Die *top)
{
    Dwarf_Die split = {0}, *half = top;
    Dwarf_Off offset = dwarf_dieoffset(top);
    for (size_t i = 0; i < unit_count; i++) {
        if (units[i].offset == offset)
            return &units[i];
    }
    if (dwarf_cu_info(top->cu, NULL, NULL, NULL, &split, NULL, NULL, NULL) == 0 &&
        split.addr != NULL)
        half = &split;
    units = resize(units, (unit_count + 1) * sizeof *units);
    struct unit *unit = &units[unit_count++];
    *unit = (struct unit){.offset = offset};
    add_functions(unit, half);
    sort(&unit->functions);
    return unit;
}

/* Of libdw's own way to a unit, .debug_aranges, clang writes nothing. */
static void read_units(void)
{
    for (Dwarf_Die *top = NULL; (top = dwfl_module_nextcu(module, top, &dwarf_bias)) != NULL;)
        add_ranges(&unit_dies, top);
    sort(&unit_dies);
}

/* --- names --- */

static void write_name(const char *name)
{
    int status;
    char *plain = name != NULL && name[0] == '_' && name[1] == 'Z'
                      ? __cxa_demangle(name, NULL, NULL, &status)
                      : NULL;
    puts(plain != NULL ? plain : name != NULL ? name : "??");
    free(plain);
}

/* In C++ the linkage name tells scopes and parameters. */
static const char *name_of(Dwarf_Die *function)
{
    static const unsigned names[] = {DW_AT_linkage_name, DW_AT_MIPS_linkage_name, DW_AT_name};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        Dwarf_Attribute attribute;
        const char *name = dwarf_formstring(dwarf_attr_integrate(function, names[i], &attribute));
        if (name != NULL)
            return name;
    }
    return NULL;
}

/* libdw's own function for this gives up for good where a unit's line table is in another file. */
static const char *file_of(Dwarf_Die *function)
{
    Dwarf_Attribute attribute;
    Dwarf_Word number;
    Dwarf_Die top;
    Dwarf_Files *files;
    if (dwarf_formudata(dwarf_attr_integrate(function, DW_AT_decl_file, &attribute), &number) != 0)
        return NULL;
    if (dwarf_cu_die(attribute.cu, &top, NULL, NULL, NULL, NULL, NULL, NULL) == NULL ||
        dwarf_getsrcfiles(&top, &files, NULL) != 0)
        return NULL;
    return dwarf_filesrc(files, number, NULL, NULL);
}

static bool is_generated(Dwarf_Die *function)
{
    Dwarf_Attribute attribute;
    bool flag = false;
    return dwarf_formflag(dwarf_attr_integrate(function, DW_AT_artificial, &attribute), &flag) ==
               0 &&
           flag;
}

/* `function` NULL: not known. */
static void write_place(const char *file, uint64_t line, Dwarf_Die *function)
{
    int start = 0;
    if (file == NULL || line == 0) {
        puts("??:0");
        return;
    }
    printf("%s:%" PRIu64, file, line);
    const char *same = function != NULL ? file_of(function) : NULL;
    if (function != NULL && is_generated(function))
        printf(" (generated)");
    else if (same != NULL && strcmp(same, file) == 0 && dwarf_decl_line(function, &start) == 0)
        printf(" (function at %d)", start);
    putchar('\n');
}

/* --- one address --- */

/* The functions around an address, the outermost first: `chain` starts with the one that has code
 * of its own. */
static size_t inlined_at(uint64_t address, Dwarf_Die *parent, Dwarf_Die *chain, size_t count)
{
    Dwarf_Die die;
    if (count == DEEPEST || dwarf_child(parent, &die) != 0)
        return count;
    do {
        int tag = dwarf_tag(&die);
        if ((tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block) ||
            dwarf_haspc(&die, address) <= 0)
            continue;
        if (tag == DW_TAG_inlined_subroutine)
            chain[count++] = die;
        return inlined_at(address, &die, chain, count);
    } while (dwarf_siblingof(&die, &die) == 0);
    return count;
}

static uint64_t number_of(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;
    dwarf_formudata(dwarf_attr(die, name, &attribute), &value);
    return value;
}

/* Where an inlined function was called from, by which one. */
static void write_call(Dwarf_Die *inlined, Dwarf_Die *caller, Dwarf_Die *top)
{
    Dwarf_Files *files;
    const char *file = NULL;
    if (dwarf_getsrcfiles(top, &files, NULL) == 0)
        file = dwarf_filesrc(files, number_of(inlined, DW_AT_call_file), NULL, NULL);
    write_place(file, number_of(inlined, DW_AT_call_line), caller);
}

static void write_line(uint64_t address, Dwarf_Die *function, Dwarf_Die *top)
{
    Dwarf_Line *found = dwarf_getsrc_die(top, address);
    int line = 0;
    if (found != NULL)
        dwarf_lineno(found, &line);
    write_place(found != NULL ? dwarf_linesrc(found, NULL, NULL) : NULL, (uint64_t)line, function);
}

static void write_functions(uint64_t address, Dwarf_Die *function, Dwarf_Die *top)
{
    Dwarf_Die chain[DEEPEST] = {*function};
    size_t count = inlined_at(address, function, chain, 1);
    write_name(name_of(&chain[count - 1]));
    write_line(address, &chain[count - 1], top);
    while (--count > 0) {
        write_name(name_of(&chain[count - 1]));
        write_call(&chain[count], &chain[count - 1], top);
    }
}

/* Without a function of the debugging information, what the symbol table says. */
static void write_symbol(uint64_t address, Dwarf_Die *top)
{
    read_symbols();
    const struct span *symbol = find(&symbols, address + bias);
    write_name(symbol != NULL ? symbol->name : NULL);
    if (top != NULL)
        write_line(address + bias - dwarf_bias, NULL, top);
    else
        write_place(NULL, 0, NULL);
}

static void write_variable(struct variable *variable)
{
    Dwarf_Attribute attribute;
    int line = 0;
    const char *file = file_of(&variable->die);
    const char *name =
        dwarf_formstring(dwarf_attr_integrate(&variable->die, DW_AT_name, &attribute));
    printf("%s ", name != NULL ? name : "??");
    write_name(name_of(&variable->function));
    if (file != NULL && dwarf_decl_line(&variable->die, &line) == 0)
        printf("%s:%d", file, line);
    else
        printf("??:0");
    printf(" (variable at %" PRIu64 ") (variable of %" PRIu64 ")\n", variable->inside,
           variable->size);
}

static void answer_variable(uint64_t address, int64_t offset, const Dwarf_Die *function)
{
    Dwarf_Addr rules_bias = 0;
    struct variable variable;
    struct variable_place place = {.function = *function,
                                   .address = address + bias - dwarf_bias,
                                   .offset = offset,
                                   .rules = dwfl_module_eh_cfi(module, &rules_bias)};
    place.rules_address = address + bias - rules_bias;
    if (variable_find(&place, &variable))
        write_variable(&variable);
    else
        printf("??\n??:0\n");
}

static void answer_address(uint64_t address, const struct span *function, Dwarf_Die *top)
{
    if (function == NULL) {
        write_symbol(address, top);
        return;
    }
    Dwarf_Die die = function->die;
    write_functions(address + bias - dwarf_bias, &die, top);
}

/* ADDRESS or ADDRESS@OFFSET. */
static void answer(const char *text)
{
    char *behind;
    uint64_t address = strtoull(text, &behind, 16), inside = address + bias - dwarf_bias;
    const struct span *unit = find(&unit_dies, inside);
    Dwarf_Die top = unit != NULL ? unit->die : (Dwarf_Die){0};
    const struct span *function = unit != NULL ? find(&unit_of(&top)->functions, inside) : NULL;
    printf("0x%" PRIx64, address);
    if (*behind != '@') {
        putchar('\n');
        answer_address(address, function, unit != NULL ? &top : NULL);
        return;
    }
    int64_t offset = strtoll(behind + 1, NULL, 10);
    printf("@%" PRId64 "\n", offset);
    if (function != NULL)
        answer_variable(address, offset, &function->die);
    else
        printf("??\n??:0\n");
}

/* --- the module --- */

/* A file, or, without a path, whatever has this build-id. */
struct wanted {
    const char *path, *build_id;
};

static size_t bytes_of(const char *digits, unsigned char *bytes, size_t most)
{
    size_t count = 0;
    while (count < most && sscanf(digits + 2 * count, "%2hhx", &bytes[count]) == 1)
        count++;
    return count;
}

/* Where a module lies doesn't matter, nor how long it is. */
static Dwfl_Module *report_by_build_id(const char *digits)
{
    unsigned char bytes[64];
    Dwfl_Module *reported = dwfl_report_module(dwfl, digits, 0, INT64_MAX);
    if (reported != NULL)
        dwfl_module_report_build_id(reported, bytes, bytes_of(digits, bytes, sizeof bytes), 0);
    return reported;
}

static void open_module(const struct wanted *wanted)
{
    static char *no_path;
    static const Dwfl_Callbacks callbacks = {
        .find_elf = dwfl_build_id_find_elf,
        .find_debuginfo = dwfl_standard_find_debuginfo,
        .section_address = dwfl_offline_section_address,
        .debuginfo_path = &no_path,
    };
    dwfl = dwfl_begin(&callbacks);
    if (dwfl == NULL)
        return;
    module = wanted->path != NULL ? dwfl_report_offline(dwfl, wanted->path, wanted->path, -1)
                                  : report_by_build_id(wanted->build_id);
    dwfl_report_end(dwfl, NULL, NULL);
    if (module == NULL || dwfl_module_getelf(module, &bias) == NULL) {
        fprintf(stderr, "mmshim-symbolize: %s: %s\n",
                wanted->path != NULL ? wanted->path : wanted->build_id, dwfl_errmsg(-1));
        module = NULL;
        return;
    }
    read_units();
}

static void answer_stdin(void)
{
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0)
        answer(line);
    free(line);
}

/* False when they are wrong. Sets `rest` to the first of the addresses. */
static bool read_arguments(char **arguments, struct wanted *wanted, char ***rest)
{
    for (arguments++; *arguments != NULL && **arguments == '-'; arguments++) {
        if (strcmp(*arguments, "-e") == 0 && arguments[1] != NULL)
            wanted->path = *++arguments;
        else if (strcmp(*arguments, "-b") == 0 && arguments[1] != NULL)
            wanted->build_id = *++arguments;
        else if (strlen(*arguments) != 2 || strchr("afiC", (*arguments)[1]) == NULL)
            return false;
    }
    *rest = arguments;
    return wanted->path != NULL || wanted->build_id != NULL;
}

int main(int count, char **arguments)
{
    char **address;
    struct wanted wanted = {NULL, NULL};
    (void)count;
    if (!read_arguments(arguments, &wanted, &address)) {
        fputs("usage: mmshim-symbolize -a -f -i -C {-e FILE | -b BUILD-ID} [ADDRESS[@OFFSET]...]\n",
              stderr);
        return 1;
    }
    open_module(&wanted);
    if (*address == NULL)
        answer_stdin();
    for (; *address != NULL; address++)
        answer(*address);
    dwfl_end(dwfl);
    return 0;
}
