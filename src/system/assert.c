/* assert.c - see assert.h. Owns nothing, locks nothing, allocates nothing. */
#include "system/assert.h"

#include "system/out.h"
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void mm_assert_failed(const char *condition, const char *file, unsigned line)
{
    char text[512];
    struct mm_out out;
    mm_out_to_file(&out, text, sizeof text, STDERR_FILENO);
    mm_out_format(&out, "mmshim: %s:%u: this does not hold: %s\n", file, (uint64_t)line, condition);
    mm_out_flush(&out);
    abort();
}
