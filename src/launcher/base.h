/* base.h - what the parts of the command `mmshim` share: messages, memory, and running a tool.
 *
 * The command is a program of its own, linked statically: it starts under any libc, and takes
 * nothing from the core but tables: of options, of kinds, of what is not the program's own code,
 * and how a process is asked for its leaks. It has one thread, lives for one command and gives no
 * memory back that it still needs at its end. */
#ifndef LAUNCHER_BASE_H
#define LAUNCHER_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define LAUNCHER_PRINTF(text, values) __attribute__((format(printf, text, values)))

/* 125 to 127, as of env and timeout: the launcher failed, not the program. */
enum { LAUNCHER_FAILED = 125, LAUNCHER_NOT_EXECUTABLE = 126, LAUNCHER_NOT_FOUND = 127 };

/* A line on stderr, with the command's name in front. */
void launcher_say(const char *format, ...) LAUNCHER_PRINTF(1, 2);
/* The same, and ends with LAUNCHER_FAILED. */
_Noreturn void launcher_die(const char *format, ...) LAUNCHER_PRINTF(1, 2);

/* As realloc(), malloc()'s vasprintf() and strndup(), but never NULL. */
void *launcher_resize(void *memory, size_t size);
char *launcher_text(const char *format, ...) LAUNCHER_PRINTF(1, 2);
char *launcher_copy(const char *text, size_t length);

/* A place for one more in an array of `count`; doubles it as it grows. */
void *launcher_grow(void *array, size_t count, size_t element_size);

/* FNV-1a, on from `hash`; 0: from its start. */
uint64_t launcher_hash(uint64_t hash, const char *text);

/* All that there is to read, ended by a NUL. */
char *launcher_read_all(FILE *file, size_t *size);

/* The text behind `part` when `text` begins with it; else NULL. */
const char *launcher_behind(const char *text, const char *part);
const char *launcher_base_name(const char *path);

/* The folder that this very program lies in, without links. */
const char *launcher_home(void);

/* The path that a shell would run for a name without a slash; NULL: none in PATH. */
char *launcher_in_path(const char *name);

/* A program that is asked something: what it writes is read from `output`. */
struct launcher_question {
    pid_t process;
    FILE *output;
};
/* `environment` NULL: ours. `input` is its stdin, -1: nothing. Its stderr comes with the output if
 * wanted, or goes nowhere. False when it can't be started. */
bool launcher_ask(struct launcher_question *question, const char *path, char *const *arguments,
                  char *const *environment, int input, bool with_errors);
/* Waits for its end; true when that was with status 0. */
bool launcher_answered(struct launcher_question *question);

#endif
