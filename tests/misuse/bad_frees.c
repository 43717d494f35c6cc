/* bad_frees.c - the bad frees of bad_frees.h, made with free(). */
#include "bad_frees.h"
