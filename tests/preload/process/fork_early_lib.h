#ifndef FORK_EARLY_LIB_H
#define FORK_EARLY_LIB_H

void allocate_in_lock(unsigned round);

#endif
