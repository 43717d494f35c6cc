/* lsan.h - what the shim's start has to do with LeakSanitizer's interface. */
#ifndef SHIM_LSAN_H
#define SHIM_LSAN_H

#include "leaks/leaks.h"
#include <stddef.h>

/* Whom the interface is passed on to, and what the program defines for it. In the start, as what is
 * looked up later would be read beside threads that load and unload. */
void shim_find_lsan(void);
/* What the program wants of looks; in our constructor. */
void shim_start_lsan(void);
/* Looks for leaks, if that is wanted and the program did not say otherwise; how many findings. */
size_t shim_tell_leaks(const struct mm_here *here, enum mm_leaks_when when);

#endif
