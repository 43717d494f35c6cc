/* A program with a library that has functions of its own by names of libc's: they get what they are
 * called with, and what they return is returned. Nothing of check.h here, which needs libc's. */
#include <stdbool.h>
#include <stdio.h>

typedef long own_fn(long first, double second, ...);

#define OWN(name) long of_##name(long first, double second, ...) __asm__(#name);
#include "foreign_names.def"
#undef OWN

static const struct {
    const char *name;
    own_fn *own;
} all[] = {
#define OWN(name) {#name, of_##name},
#include "foreign_names.def"
#undef OWN
};

int main(void)
{
    bool failed = false;
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].own(1, 2.5, 10L, 0.25) == 17)
            continue;
        failed = true;
        for (const char *letter = all[i].name; *letter != '\0'; letter++)
            putc(*letter, stdout);
        putc('\n', stdout);
    }
    return failed;
}
