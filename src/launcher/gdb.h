/* gdb.h - `mmshim --gdb program`: a debugger that stops at each finding. */
#ifndef LAUNCHER_GDB_H
#define LAUNCHER_GDB_H

/* Becomes gdb, with the program and its arguments; the variables of `preload` and of the shim's
 * options are the program's alone. NULL: it runs without the shim. */
_Noreturn void launcher_gdb(const char *preload, char *const *arguments);

#endif
