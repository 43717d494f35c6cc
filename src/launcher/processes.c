/* processes.c - see processes.h. Nothing is given back. */
#include "launcher/processes.h"

#include "launcher/base.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_SHOWN 8u

/* A program's name goes to terminals. */
static char *without_controls(char *text)
{
    for (char *at = text; *at != '\0'; at++)
        *at = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
    return text;
}

static void add(struct launcher_processes *processes, long long id, const char *program)
{
    processes->list = launcher_grow(processes->list, processes->count, sizeof *processes->list);
    processes->list[processes->count] = (struct launcher_started){
        id, processes->count, without_controls(launcher_text("%s", launcher_base_name(program)))};
    processes->count++;
}

/* -1: it is not there, or no file. In a folder that all may write to, somebody else may have put
 * anything in its place. */
static int open_file(const char *path, int how)
{
    struct stat status;
    int file = open(path, how | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file >= 0 && (fstat(file, &status) != 0 || !S_ISREG(status.st_mode))) {
        close(file);
        return -1;
    }
    return file;
}

static FILE *open_list(const char *path)
{
    int file = open_file(path, O_RDONLY);
    return file >= 0 ? fdopen(file, "r") : NULL;
}

static void read_lines(struct launcher_processes *processes, FILE *file)
{
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) > 0) {
        char *program;
        long long id = strtoll(line, &program, 10);
        line[strcspn(line, "\n")] = '\0';
        if (*program == ' ' && id > 0)
            add(processes, id, program + 1);
    }
    free(line);
}

/* --- each once --- */

/* Of several lines of a process the last one counts. */
static int compare_ids(const void *left, const void *right)
{
    const struct launcher_started *a = left, *b = right;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static void put_in_order(struct launcher_processes *processes)
{
    struct launcher_started *list = processes->list;
    size_t kept = 0;
    if (processes->count > 0)
        qsort(list, processes->count, sizeof *list, compare_ids);
    for (size_t i = 0; i < processes->count; i++) {
        kept -= kept > 0 && list[kept - 1].id == list[i].id;
        list[kept++] = list[i];
    }
    processes->count = kept;
}

static bool have(const struct launcher_processes *processes, long long id)
{
    for (size_t i = 0; i < processes->count; i++) {
        if (processes->list[i].id == id)
            return true;
    }
    return false;
}

struct launcher_processes launcher_processes_read(const char *path,
                                                  const struct launcher_findings *findings)
{
    struct launcher_processes processes = {0};
    FILE *file = path != NULL ? open_list(path) : NULL;
    if (file != NULL) {
        read_lines(&processes, file);
        fclose(file);
    }
    for (size_t i = 0; i < findings->process_count; i++) {
        if (!have(&processes, findings->processes[i].id))
            add(&processes, findings->processes[i].id, findings->processes[i].program);
    }
    put_in_order(&processes);
    return processes;
}

/* By one write, so that no other's line comes between. What has no end yet is left out. */
void launcher_processes_hand_on(const char *path, const char *to)
{
    FILE *from = open_list(path);
    int file = from != NULL ? open_file(to, O_WRONLY | O_APPEND) : -1;
    if (file >= 0) {
        size_t size;
        char *lines = launcher_read_all(from, &size);
        while (size > 0 && lines[size - 1] != '\n')
            size--;
        /* Where it is full, the outer tree knows of fewer. */
        if (size > 0 && write(file, lines, size) < 0)
            size = 0;
        close(file);
        free(lines);
    }
    if (from != NULL)
        fclose(from);
}

/* --- as text --- */

static int compare_names(const void *left, const void *right)
{
    const struct launcher_started *a = left, *b = right;
    return strcmp(a->program, b->program);
}

char *launcher_processes_text(const struct launcher_processes *processes)
{
    size_t count = processes->count, names = 0;
    struct launcher_started *list = launcher_resize(NULL, (count + 1) * sizeof *list);
    if (count > 0) {
        memcpy(list, processes->list, count * sizeof *list);
        qsort(list, count, sizeof *list, compare_names);
    }
    char *text = launcher_count_text(count, "process", "processes");
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && strcmp(list[next].program, list[i].program) == 0;)
            next++;
        const char *separator = names++ == 0 ? ": " : ", ";
        if (names > NAMES_SHOWN)
            return launcher_text("%s%s...", text, separator);
        text = launcher_text(next - i > 1 ? "%s%s%s (%zu)" : "%s%s%s", text, separator,
                             list[i].program, next - i);
    }
    free(list);
    return text;
}
