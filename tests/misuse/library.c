/* library.c - a library whose exported function, constructor or destructor frees badly; the
 * environment says where. */
#include "misuse.h"

#include <stdlib.h>
#include <string.h>

char library_global[64] = "in a library";

void library_releases_badly(void *ptr);
void library_constructor(void);
void library_destructor(void);

void library_releases_badly(void *ptr)
{
    BAD_CALL(free(hidden(ptr)));
}

static int asked_for(const char *where)
{
    const char *asked = getenv("MISUSE_IN");

    return asked != NULL && strcmp(asked, where) == 0;
}

/* Correct uses before the shim may have started, of all of what is asked for. */
static void use_first_blocks(void)
{
    for (size_t size = 1; size < 500; size++) {
        void *blocks[3];

        for (int i = 0; i < 3; i++) {
            blocks[i] = hidden(malloc(size));
            CHECK(blocks[i] != NULL);
            memset(blocks[i], 'f', size);
        }
        for (int i = 0; i < 3; i++) {
            free(blocks[i]);
        }
    }
}

/* Dependencies are started first, so this comes before any constructor of the program. */
__attribute__((constructor)) void library_constructor(void)
{
    if (asked_for("constructor")) {
        publish_pointer("PTR", library_global);
        library_releases_badly(library_global);
    }
    if (asked_for("first blocks")) {
        void *block = hidden(malloc(232)); /* fills a slot, without a guard */

        CHECK(block != NULL);
        memset(block, 'f', 232);
        use_first_blocks();
        free(block);
    }
}

__attribute__((destructor)) void library_destructor(void)
{
    if (asked_for("destructor")) {
        publish_pointer("PTR", library_global);
        library_releases_badly(library_global);
    }
}
