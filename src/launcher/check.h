/* check.h - will the shim take effect in a program, and why not? */
#ifndef LAUNCHER_CHECK_H
#define LAUNCHER_CHECK_H

/* Also the exit statuses of `mmshim --check`. */
enum launcher_effect { LAUNCHER_TAKES_EFFECT, LAUNCHER_NO_EFFECT, LAUNCHER_CANT_TELL };

struct launcher_verdict {
    enum launcher_effect effect;
    const char *reason; /* but for LAUNCHER_TAKES_EFFECT */
    char **notes;       /* what is worth knowing besides, NULL at the end; NULL: nothing */
};

/* `preload` is what LD_PRELOAD is to be, with the shim in front; `arguments` are the program's, its
 * name first, NULL at the end. Nothing of the program runs, but its dynamic linker is asked what it
 * would load. */
struct launcher_verdict launcher_check(const char *shim, const char *preload,
                                       char *const *arguments);

/* What runs a script, by its first line; shells hand text without #! to /bin/sh. NULL for anything
 * else. */
char *launcher_check_interpreter(const char *path);

/* Writes the verdict to stdout; its exit status. */
int launcher_check_tell(const char *name, const struct launcher_verdict *verdict);

#endif
