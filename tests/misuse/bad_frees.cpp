/* bad_frees.cpp - the bad frees of bad_frees.h, made with operator delete. */
#include "bad_frees.h"
