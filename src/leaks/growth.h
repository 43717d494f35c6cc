/* growth.h - whose blocks become more: looks that compare, and ask nobody what points to what. */
#ifndef MM_GROWTH_H
#define MM_GROWTH_H

#include "leaks/roots.h"
#include <stddef.h>

/* Tells the stacks whose live bytes grew most since the last look; how many that are. The first
 * look only counts. Otherwise as mm_leaks_look(). */
size_t mm_growth_look(const struct mm_here *here);
/* In a fork()'s child. */
void mm_growth_renew(void);

#endif
