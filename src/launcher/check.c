/* check.c - judges a program from the outside: its file, the dynamic linker that it names, and the
 * libraries that this would load. Whoever judges returns true as long as nothing speaks against the
 * shim; the first objection is the verdict. The state of one judgement is in `struct judgement`. */
#include "launcher/check.h"

#include "launcher/base.h"
#include "launcher/elf.h"
#include <ctype.h>
#include <elf.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPTS_MOST 5 /* that run each other */

struct judgement {
    struct launcher_verdict verdict;
    size_t note_count;
    const char *shim, *preload;
    char *const *arguments; /* of `program` */
    char *program;          /* the file that the process will be of */
    struct launcher_elf elf;
    const char *linker;      /* the dynamic linker that is run */
    size_t linker_arguments; /* in front of the program, where the linker is run by name; or 0 */
};

static bool no(struct judgement *judgement, const char *reason)
{
    judgement->verdict.effect = LAUNCHER_NO_EFFECT;
    judgement->verdict.reason = reason;
    return false;
}

static bool unsure(struct judgement *judgement, const char *reason)
{
    judgement->verdict.effect = LAUNCHER_CANT_TELL;
    judgement->verdict.reason = reason;
    return false;
}

static void note(struct judgement *judgement, char *text)
{
    char ***notes = &judgement->verdict.notes;
    *notes = launcher_grow(*notes, judgement->note_count, sizeof **notes);
    (*notes)[judgement->note_count++] = text;
    *notes = launcher_grow(*notes, judgement->note_count, sizeof **notes);
    (*notes)[judgement->note_count] = NULL;
}

/* --- the file that a process will be of --- */

static bool is_there(struct judgement *judgement, const char *name)
{
    struct stat status;
    judgement->program =
        strchr(name, '/') != NULL ? launcher_copy(name, strlen(name)) : launcher_in_path(name);
    const char *program = judgement->program;
    if (program == NULL)
        return no(judgement, launcher_text("%s is not in PATH", name));
    if (stat(program, &status) != 0)
        return no(judgement, launcher_text("%s is not there", program));
    if (S_ISDIR(status.st_mode))
        return no(judgement, launcher_text("%s is a directory", program));
    if (access(program, X_OK) != 0)
        return no(judgement, launcher_text("%s is not executable", program));
    if (access(program, R_OK) != 0)
        return unsure(judgement, launcher_text("%s is not readable", program));
    return true;
}

static char *next_word(char **rest)
{
    char *word = *rest + strspn(*rest, " \t");
    *rest = word + strcspn(word, " \t");
    if (**rest != '\0')
        *(*rest)++ = '\0';
    return word;
}

/* What runs a script, by its first line: #! and a path, or that of env and a name. Where options of
 * env's that take words, or quotes, hide the name, it is env. */
static char *interpreter_in(char *line)
{
    line[strcspn(line, "\n")] = '\0';
    line += strlen("#!");
    char *word = next_word(&line), *env = word;
    if (strcmp(launcher_base_name(word), "env") != 0 || strchr(word, '/') == NULL)
        return word;
    do
        word = next_word(&line);
    while (*word == '-' || strchr(word, '=') != NULL);
    char *found = launcher_in_path(word);
    bool is_there = found != NULL || strchr(word, '/') != NULL;
    free(found);
    return is_there ? word : env;
}

char *launcher_check_interpreter(const char *path)
{
    char start[257] = "";
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t got = file >= 0 ? read(file, start, sizeof start - 1) : -1;
    if (file >= 0)
        close(file);
    if (got < 0)
        return NULL;
    const char *word = NULL;
    if (launcher_behind(start, "#!") != NULL)
        word = interpreter_in(start);
    else if (launcher_behind(start, ELFMAG) == NULL && strlen(start) == (size_t)got)
        word = "/bin/sh";
    return word != NULL && *word != '\0' ? launcher_copy(word, strlen(word)) : NULL;
}

/* As a shell would find it, following scripts to what runs them: that is the process which the shim
 * is loaded into. */
static bool find_program(struct judgement *judgement, const char *name)
{
    for (unsigned depth = 0; depth < SCRIPTS_MOST; depth++) {
        if (!is_there(judgement, name))
            return false;
        name = launcher_check_interpreter(judgement->program);
        if (name == NULL)
            return true;
        note(judgement,
             launcher_text("%s is a script for %s; what it starts in turn is judged by itself",
                           judgement->program, name));
    }
    return no(judgement, launcher_text("%s: too many scripts that run each other", name));
}

/* --- the machine --- */

static const char *machine_name(const struct launcher_elf *elf)
{
    static const struct {
        bool wide;
        unsigned machine;
        const char *name;
    } known[] = {{false, EM_386, "i386 (32 bits)"}, {false, EM_X86_64, "x32"},
                 {false, EM_ARM, "ARM (32 bits)"},  {true, EM_X86_64, "x86-64"},
                 {true, EM_AARCH64, "aarch64"},     {true, EM_RISCV, "RISC-V (64 bits)"},
                 {true, EM_PPC64, "ppc64"},         {true, EM_S390, "s390"},
                 {false, EM_S390, "s390"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].wide == elf->wide && known[i].machine == elf->machine)
            return known[i].name;
    }
    return launcher_text("machine %u, %u bits", elf->machine, elf->wide ? 64 : 32);
}

static const char *machine_of(const struct launcher_elf *elf, const struct launcher_elf *other)
{
    const char *name = machine_name(elf);
    if (elf->big_endian == other->big_endian || strcmp(name, machine_name(other)) != 0)
        return name;
    return launcher_text("%s, %s-endian", name, elf->big_endian ? "big" : "little");
}

/* The shim is for one architecture. */
static bool judge_machine(struct judgement *judgement)
{
    struct launcher_elf shim, *elf = &judgement->elf;
    bool shim_is_elf = launcher_elf_open_header(&shim, judgement->shim);
    launcher_elf_close(&shim);
    if (!shim_is_elf)
        return unsure(judgement, launcher_text("%s is no ELF file", judgement->shim));
    if (!launcher_elf_open(elf, judgement->program))
        return unsure(judgement,
                      launcher_text("%s is neither an ELF file nor a script", judgement->program));
    if (elf->wide == shim.wide && elf->machine == shim.machine &&
        elf->big_endian == shim.big_endian)
        return true;
    return no(judgement, launcher_text("it is for %s, the shim for %s", machine_of(elf, &shim),
                                       machine_of(&shim, elf)));
}

/* --- the dynamic linker --- */

static bool is_one_of(const char *name, const char *const *patterns)
{
    for (; *patterns != NULL; patterns++) {
        if (fnmatch(*patterns, name, 0) == 0)
            return true;
    }
    return false;
}

static bool is_of_glibc(const char *linker)
{
    static const char *const names[] = {"ld-linux*.so.*", "ld64.so.*", "ld.so.*", NULL};
    return is_one_of(launcher_base_name(linker), names);
}

static bool judge_linker_name(struct judgement *judgement, const char *linker)
{
    static const char *const android[] = {"linker", "linker64", NULL};
    const char *name = launcher_base_name(linker), *libc = NULL;
    if (is_of_glibc(linker))
        return true;
    if (launcher_behind(name, "ld-musl-") != NULL)
        libc = "musl";
    else if (launcher_behind(name, "ld-uClibc") != NULL)
        libc = "uClibc";
    else if (is_one_of(name, android))
        libc = "Android's";
    if (libc == NULL)
        return unsure(judgement, launcher_text("unknown dynamic linker: %s", linker));
    return no(judgement, launcher_text("its libc is %s (%s), the shim is for glibc", libc, linker));
}

/* An AppImage unpacks a program and starts it: that is the one to be checked. */
static bool judge_static(struct judgement *judgement)
{
    if (judgement->elf.is_appimage)
        return unsure(judgement, "an AppImage: what it holds is judged by itself");
    return no(judgement, "statically linked: no dynamic linker that could load the shim");
}

static bool judge_linker(struct judgement *judgement)
{
    const char *linker = judgement->elf.interpreter;
    if (judgement->linker_arguments > 0)
        return true; /* the one that is run by name, whichever the program names */
    if (linker == NULL)
        return judge_static(judgement);
    if (!judge_linker_name(judgement, linker))
        return false;
    judgement->linker = linker;
    if (access(linker, X_OK) != 0)
        return no(judgement, launcher_text("its dynamic linker is not there: %s", linker));
    return true;
}

/* --- a malloc of its own --- */

/* Names whose malloc a file defines, by what else it defines; NULL: one of its own. */
static const char *allocator_of(const struct launcher_elf *elf)
{
    static const struct {
        const char *symbol, *name;
    } known[] = {{"__asan_init", "AddressSanitizer"},
                 {"__hwasan_init", "HWAddressSanitizer"},
                 {"__tsan_init", "ThreadSanitizer"},
                 {"__msan_init", "MemorySanitizer"},
                 {"__lsan_init", "LeakSanitizer"},
                 {"mallocx", "jemalloc"},
                 {"je_mallocx", "jemalloc"},
                 {"tc_malloc", "tcmalloc"},
                 {"mi_malloc", "mimalloc"},
                 {"rpmalloc", "rpmalloc"},
                 {"__scudo_get_error_info_addr", "scudo"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (launcher_elf_defines(elf, known[i].symbol))
            return known[i].name;
    }
    return NULL;
}

static bool is_sanitizer(const char *allocator)
{
    return allocator != NULL && strstr(allocator, "Sanitizer") != NULL;
}

/* What the program itself defines comes before what is preloaded. */
static bool judge_own_malloc(struct judgement *judgement)
{
    const struct launcher_elf *elf = &judgement->elf;
    if (!launcher_elf_defines(elf, "malloc") && !launcher_elf_defines(elf, "free"))
        return true;
    const char *name = allocator_of(elf);
    if (name == NULL)
        return no(judgement, "it defines malloc itself, before any preloaded one");
    return no(judgement,
              is_sanitizer(name)
                  ? launcher_text("it is built with %s, whose runtime is its malloc", name)
                  : launcher_text("it brings its own malloc, %s, before any preloaded one", name));
}

/* --- rights --- */

static bool judge_capabilities(struct judgement *judgement)
{
    if (getxattr(judgement->program, "security.capability", NULL, 0) <= 0)
        return true;
    if (getuid() != 0)
        return no(judgement, "file capabilities: it runs with rights that its caller has not");
    note(judgement, launcher_text("file capabilities: takes effect for root alone"));
    return true;
}

/* The dynamic linker takes no preload by path where a program runs with rights that its caller
 * hasn't. Whose rights they are is seen from here: set-user-ID root changes nothing for root. */
static bool judge_privilege(struct judgement *judgement)
{
    struct stat status;
    if (judgement->linker_arguments > 0 || stat(judgement->program, &status) != 0)
        return true; /* to be read by the linker lends no rights */
    if ((status.st_mode & S_ISUID) && status.st_uid != getuid())
        return no(judgement, "set-user-ID: it runs with the rights of another user");
    if ((status.st_mode & S_ISGID) && status.st_gid != getgid())
        return no(judgement, "set-group-ID: it runs with the rights of another group");
    if (status.st_mode & (S_ISUID | S_ISGID))
        note(judgement,
             launcher_text("set-user-ID or set-group-ID: takes effect for its owner alone"));
    return judge_capabilities(judgement);
}

/* --- the dynamic linker, run by name --- */

/* Options of glibc's that take a word of their own. */
static bool takes_a_word(const char *option)
{
    static const char *const names[] = {
        "--argv0",   "--audit",         "--glibc-hwcaps-mask", "--glibc-hwcaps-prepend",
        "--preload", "--inhibit-rpath", "--library-path",      NULL};
    return is_one_of(option, names);
}

static bool is_linker(struct judgement *judgement)
{
    const struct launcher_elf *elf = &judgement->elf;
    if (elf->interpreter != NULL)
        return false;
    return (elf->own_name != NULL && is_of_glibc(elf->own_name)) ||
           launcher_behind(launcher_base_name(judgement->program), "ld-musl-") != NULL;
}

/* Sets judgement->program to what the linker is to run; NULL when that is nothing. */
static void find_program_of_linker(struct judgement *judgement)
{
    size_t i = 1;
    while (judgement->arguments[i] != NULL && judgement->arguments[i][0] == '-')
        i += takes_a_word(judgement->arguments[i]) && judgement->arguments[i + 1] != NULL ? 2 : 1;
    judgement->linker = judgement->program;
    judgement->linker_arguments = i;
    const char *name = judgement->arguments[i];
    judgement->program = name != NULL ? launcher_copy(name, strlen(name)) : NULL;
}

/* It needs to be readable, and that is all that it needs to be. */
static bool follow_linker(struct judgement *judgement)
{
    struct launcher_elf *elf = &judgement->elf;
    const char *own_name = elf->own_name != NULL ? elf->own_name : judgement->program;
    if (!judge_linker_name(judgement, is_of_glibc(own_name) ? own_name : judgement->program))
        return false;
    find_program_of_linker(judgement);
    if (judgement->program == NULL)
        return true;
    launcher_elf_close(elf);
    *elf = (struct launcher_elf){.file = -1};
    if (strchr(judgement->program, '/') == NULL)
        judgement->program = launcher_text("./%s", judgement->program);
    if (access(judgement->program, R_OK) != 0)
        return no(judgement, launcher_text("%s is not there", judgement->program));
    return judge_machine(judgement);
}

/* --- libraries --- */

/* What would change the linker's answer, or add to it, is left out. */
static char **environment_with(const char *preload)
{
    size_t count = 0;
    char **environment = NULL;
    for (char **variable = environ; *variable != NULL; variable++) {
        if (launcher_behind(*variable, "LD_") != NULL &&
            launcher_behind(*variable, "LD_LIBRARY_PATH=") == NULL)
            continue;
        environment = launcher_grow(environment, count, sizeof *environment);
        environment[count++] = *variable;
    }
    environment = launcher_grow(environment, count, sizeof *environment);
    environment[count++] = launcher_text("LD_PRELOAD=%s", preload);
    environment = launcher_grow(environment, count, sizeof *environment);
    environment[count] = NULL;
    return environment;
}

/* By its real path: where libraries lie may be told relative to that. */
static char **arguments_of_linker(const struct judgement *judgement)
{
    size_t count = judgement->linker_arguments > 0 ? judgement->linker_arguments : 1;
    char **arguments = launcher_resize(NULL, (count + 3) * sizeof *arguments);
    char *real = realpath(judgement->program, NULL);
    arguments[0] = launcher_text("%s", judgement->linker);
    for (size_t i = 1; i < count; i++)
        arguments[i] = judgement->arguments[i];
    arguments[count] = launcher_text("--list");
    arguments[count + 1] = real != NULL ? real : judgement->program;
    arguments[count + 2] = NULL;
    return arguments;
}

static bool judge_library(struct judgement *judgement, const char *path)
{
    struct launcher_elf elf;
    const char *base = launcher_base_name(path);
    bool has_malloc = launcher_elf_open(&elf, path) && launcher_elf_defines(&elf, "malloc");
    const char *name = has_malloc ? allocator_of(&elf) : NULL;
    launcher_elf_close(&elf);
    if (!has_malloc)
        return true;
    if (is_sanitizer(name))
        return no(judgement,
                  launcher_text("it is linked with %s's runtime (%s), which must come first", name,
                                base));
    note(judgement,
         launcher_text("%s has a malloc as well; the shim comes before it, and hands large "
                       "blocks on to it",
                       base));
    if (name != NULL)
        note(judgement, launcher_text("blocks that the program gets by names of %s's own must "
                                      "not be given to free",
                                      name));
    return true;
}

/* With a libc older than the shim's, or what else is wrong with it, the program would not start, or
 * complain at each start. */
static bool is_about_shim(const struct judgement *judgement, const char *line)
{
    bool names_us =
        strstr(line, judgement->shim) != NULL || strstr(line, "libmmshim_bounds.so") != NULL;
    return names_us &&
           (strstr(line, "cannot be preloaded") != NULL || strstr(line, "required by") != NULL);
}

/* "\tNAME => PATH (0xADDRESS)", "\tPATH (0xADDRESS)", "\tNAME => not found" or a complaint. */
static bool judge_line(struct judgement *judgement, char *line, bool *has_shim)
{
    static const char *const not_judged[] = {"libc.so.6", "ld*.so.*", "libmmshim*.so", "linux-*",
                                             NULL};
    char *library = line + strspn(line, "\t");
    if (strstr(line, "=> not found") != NULL)
        return unsure(judgement, launcher_text("it can't start: %s", library));
    if (is_about_shim(judgement, line))
        return no(judgement, launcher_text("its dynamic linker says: %s", line));
    char *arrow = strstr(library, "=> "), *address = strstr(library, " (0x");
    if (address == NULL)
        return true;
    *address = '\0';
    library = arrow != NULL && arrow < address ? arrow + strlen("=> ") : library;
    *has_shim = *has_shim || strcmp(library, judgement->shim) == 0;
    return is_one_of(launcher_base_name(library), not_judged) || judge_library(judgement, library);
}

static bool judge_list(struct judgement *judgement, FILE *list)
{
    char *line = NULL;
    size_t capacity = 0;
    bool fine = true, has_shim = false;
    while (fine && getline(&line, &capacity, list) > 0) {
        line[strcspn(line, "\n")] = '\0';
        fine = judge_line(judgement, line, &has_shim);
    }
    free(line);
    if (fine && !has_shim)
        fine = no(judgement,
                  launcher_text("its dynamic linker, %s, leaves the shim out", judgement->linker));
    return fine;
}

/* Asks its dynamic linker, which runs nothing of the program, for what it would load. */
static bool judge_libraries(struct judgement *judgement)
{
    struct launcher_question question;
    size_t size;
    if (!launcher_ask(&question, judgement->linker, arguments_of_linker(judgement),
                      environment_with(judgement->preload), -1, true))
        return unsure(judgement,
                      launcher_text("its dynamic linker can't be asked: %s", judgement->linker));
    char *list = launcher_read_all(question.output, &size);
    if (!launcher_answered(&question)) {
        list[strcspn(list, "\n")] = '\0';
        const char *reason = launcher_text("its dynamic linker says: %s", list);
        return is_about_shim(judgement, list) ? no(judgement, reason) : unsure(judgement, reason);
    }
    FILE *lines = fmemopen(list, size + 1, "r");
    bool fine = lines == NULL || judge_list(judgement, lines);
    if (lines != NULL)
        fclose(lines);
    free(list);
    return fine;
}

/* --- all of it --- */

static bool judge(struct judgement *judgement)
{
    if (!find_program(judgement, judgement->arguments[0]) || !judge_machine(judgement))
        return false;
    if (is_linker(judgement)) {
        if (!follow_linker(judgement))
            return false;
        if (judgement->program == NULL) {
            note(judgement, launcher_text("it is a dynamic linker; what it is to run is judged "
                                          "when it is named, too"));
            return true;
        }
    }
    return judge_linker(judgement) && judge_own_malloc(judgement) && judge_privilege(judgement) &&
           judge_libraries(judgement);
}

/* SIGCHLD may be ignored; a status is to be had all the same. */
struct launcher_verdict launcher_check(const char *shim, const char *preload,
                                       char *const *arguments)
{
    struct judgement judgement = {
        .shim = shim, .preload = preload, .arguments = arguments, .elf = {.file = -1}};
    void (*before)(int) = signal(SIGCHLD, SIG_DFL);
    judge(&judgement);
    signal(SIGCHLD, before);
    launcher_elf_close(&judgement.elf);
    return judgement.verdict;
}

int launcher_check_tell(const char *name, const struct launcher_verdict *verdict)
{
    static const char *const says[] = {"the shim takes effect",
                                       "the shim has no effect: ", "can't tell: "};
    printf("%s: %s%s\n", name, says[verdict->effect],
           verdict->reason != NULL ? verdict->reason : "");
    for (char **note = verdict->notes; note != NULL && *note != NULL; note++)
        printf("    %s\n", *note);
    return (int)verdict->effect;
}
