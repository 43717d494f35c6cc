/* texts.c - frees of what the kernel put at the end of the first stack. With MISUSE_TWIN set copies
 * are freed, and nothing is told. */
#include "misuse.h"

#include <stdlib.h>
#include <string.h>

static void *wrong(char *text)
{
    return hidden(getenv("MISUSE_TWIN") != NULL ? strdup(text) : text);
}

/* Arguments and variables, and what is inside of them. */
void foreign_texts(void)
{
    char *value = getenv("MM_DEBUG");
    CHECK(value != NULL);
    publish_pointer("ARGUMENT", program_invocation_name);
    publish_pointer("ANOTHER", strchr(program_invocation_name, '\0') + 1);
    publish_pointer("INSIDE", strchr(program_invocation_name, '\0') + 3);
    publish_pointer("NAME", value - strlen("MM_DEBUG="));
    publish_pointer("VALUE", value);
    publish_pointer("END", value + 1);
    BAD_CALL(free(wrong(program_invocation_name)));
    BAD_CALL(free(wrong(strchr(program_invocation_name, '\0') + 1)));
    BAD_CALL(free(wrong(strchr(program_invocation_name, '\0') + 3)));
    BAD_CALL(free(wrong(value - strlen("MM_DEBUG="))));
    BAD_CALL(free(wrong(value)));
    BAD_CALL(free(wrong(value + 1)));
}

static const struct misuse_case cases[] = {MISUSE_CASE(foreign_texts)};

int main(int argc, char **argv)
{
    return run_case(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
