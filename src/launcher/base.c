/* base.c - messages, memory, paths, and running a tool; see base.h. No state but the program's own
 * folder, looked up once. */
#include "launcher/base.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *format, va_list values)
{
    fputs("mmshim: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
}

void launcher_say(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    say(format, values);
    va_end(values);
}

void launcher_die(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    say(format, values);
    va_end(values);
    exit(LAUNCHER_FAILED);
}

/* --- memory --- */

void *launcher_resize(void *memory, size_t size)
{
    memory = realloc(memory, size > 0 ? size : 1);
    if (memory == NULL)
        launcher_die("out of memory");
    return memory;
}

char *launcher_text(const char *format, ...)
{
    va_list values;
    char *text;
    va_start(values, format);
    int length = vasprintf(&text, format, values);
    va_end(values);
    if (length < 0)
        launcher_die("out of memory");
    return text;
}

char *launcher_copy(const char *text, size_t length)
{
    char *copy = launcher_resize(NULL, length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

void *launcher_grow(void *array, size_t count, size_t element_size)
{
    if (count != 0 && (count < 8 || (count & (count - 1)) != 0))
        return array;
    return launcher_resize(array, (count < 8 ? 8 : 2 * count) * element_size);
}

uint64_t launcher_hash(uint64_t hash, const char *text)
{
    if (hash == 0)
        hash = 0xcbf29ce484222325;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    return hash;
}

char *launcher_read_all(FILE *file, size_t *size)
{
    size_t capacity = 1 << 16, got;
    char *text = launcher_resize(NULL, capacity);
    *size = 0;
    while ((got = fread(text + *size, 1, capacity - *size - 1, file)) > 0) {
        *size += got;
        if (*size == capacity - 1)
            text = launcher_resize(text, capacity *= 2);
    }
    text[*size] = '\0';
    return text;
}

/* --- names --- */

const char *launcher_behind(const char *text, const char *part)
{
    size_t length = strlen(part);
    return strncmp(text, part, length) == 0 ? text + length : NULL;
}

const char *launcher_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Where /proc isn't, as in many a chroot, by the name that it was started by. */
const char *launcher_home(void)
{
    static char *home;
    if (home != NULL)
        return home;
    const char *name = (const char *)getauxval(AT_EXECFN);
    home = realpath("/proc/self/exe", NULL);
    if (home == NULL && name != NULL)
        home = realpath(name, NULL);
    if (home == NULL)
        launcher_die("can't tell where I am: %s", strerror(errno));
    *strrchr(home, '/') = '\0';
    return home;
}

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* An empty entry stands for the working directory. */
char *launcher_in_path(const char *name)
{
    const char *folder = getenv("PATH");
    if (folder == NULL)
        folder = "/usr/local/bin:/usr/bin:/bin";
    for (;; folder++) {
        size_t length = strcspn(folder, ":");
        char *path = launcher_text("%.*s%s%s", (int)length, folder, length > 0 ? "/" : "./", name);
        if (is_program(path))
            return path;
        free(path);
        folder += length;
        if (*folder == '\0')
            return NULL;
    }
}

/* --- running a tool --- */

static void set_files(posix_spawn_file_actions_t *actions, int input, int output, bool with_errors)
{
    posix_spawn_file_actions_init(actions);
    if (input >= 0)
        posix_spawn_file_actions_adddup2(actions, input, STDIN_FILENO);
    else
        posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
    if (with_errors)
        posix_spawn_file_actions_adddup2(actions, output, STDERR_FILENO);
    else
        posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
}

/* Above the standard ones, any of which may be closed. */
static bool open_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    for (unsigned i = 0; i < 2; i++) {
        int moved = fcntl(ends[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(ends[i]);
        ends[i] = moved;
    }
    return ends[0] >= 0 && ends[1] >= 0;
}

bool launcher_ask(struct launcher_question *question, const char *path, char *const *arguments,
                  char *const *environment, int input, bool with_errors)
{
    posix_spawn_file_actions_t actions;
    int ends[2];
    if (!open_pipe(ends))
        return false;
    set_files(&actions, input, ends[1], with_errors);
    int error = posix_spawn(&question->process, path, &actions, NULL, arguments,
                            environment != NULL ? environment : environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    question->output = error == 0 ? fdopen(ends[0], "r") : NULL;
    if (question->output == NULL)
        close(ends[0]);
    return question->output != NULL;
}

/* Where SIGCHLD is ignored, as it then stays for the program, the system keeps no status. */
bool launcher_answered(struct launcher_question *question)
{
    int status = -1;
    fclose(question->output);
    while (waitpid(question->process, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
