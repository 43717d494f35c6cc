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

/* Dependencies are started first, so this comes before any constructor of the program. */
__attribute__((constructor)) void library_constructor(void)
{
    if (asked_for("constructor")) {
        publish_pointer("PTR", library_global);
        library_releases_badly(library_global);
    }
}

__attribute__((destructor)) void library_destructor(void)
{
    if (asked_for("destructor")) {
        publish_pointer("PTR", library_global);
        library_releases_badly(library_global);
    }
}
