/* verbose.h - the lines of MM_VERBOSE; nothing without it. */
#ifndef SHIM_VERBOSE_H
#define SHIM_VERBOSE_H

void shim_tell_start(void);
/* Once in a process. */
void shim_tell_end(void);

#endif
