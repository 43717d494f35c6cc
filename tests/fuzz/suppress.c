/* suppress.c - an input is a file of suppressions: a line that is complained of has no effect, and
 * no byte outside of the file is read. */
#include "findings/suppress.h"

#include "check.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t complaints, last_line;

static void complain(size_t line, const char *why)
{
    CHECK(line > last_line && why[0] != '\0');
    last_line = line;
    complaints++;
}

static size_t lines_in(const char *text, size_t size)
{
    size_t count = 1;
    for (size_t i = 0; i < size; i++)
        count += text[i] == '\n';
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"double-free", "interior-free", "foreign-free", "leak"};
    static const char *const names[] = {"", "a", "main", "std::vector<int>::~vector()",
                                        "/lib/libc.so.6"};
    char *text = malloc(size + 1); /* exactly as long, for a sanitizer to watch its end */
    CHECK(text != NULL);
    memcpy(text, data, size);
    text = realloc(text, size > 0 ? size : 1);
    CHECK(text != NULL);
    complaints = last_line = 0;
    mm_suppress_check(text, size, complain);
    CHECK(last_line <= lines_in(text, size));
    for (size_t i = 0; i < 20; i++) {
        bool matches = mm_suppress_matches(text, size, kinds[i % 4], names[i / 4]);
        CHECK(!matches || complaints < lines_in(text, size));
    }
    free(text);
    return 0;
}
