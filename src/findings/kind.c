/* kind.c - see kind.h. */
#include "findings/kind.h"

#define KIND(enumerator, ...)                                                                      \
    _Static_assert((int)MM_INDEX_OF_##enumerator == (int)(enumerator), "in the order of the "      \
                                                                       "enum");
#include "findings/kinds.def"
#undef KIND

enum { POSSIBLE, CERTAIN };

const struct mm_kind mm_kinds[MM_KINDS] = {
#define KIND(enumerator, name, word, certainty, ...) {name, word, certainty},
#include "findings/kinds.def"
#undef KIND
};
