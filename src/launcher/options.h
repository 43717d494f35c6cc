/* options.h - the shim's options as the command line has them: --on-error=abort is
 * MM_ON_ERROR=abort. What there is comes from the core's table, src/entry/options.def. */
#ifndef LAUNCHER_OPTIONS_H
#define LAUNCHER_OPTIONS_H

/* Writes an entry for each option to stdout. */
void launcher_options_help(void);

/* Puts --NAME=VALUE into the environment, or says what is wrong with it and ends. */
void launcher_options_set(const char *argument);

#endif
