/* interface.c - what LeakSanitizer's interface does under the shim: a case each, by its argument.
 */
#include "planted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));
void __lsan_ignore_object(const void *object) __attribute__((weak));
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
void __lsan_do_leak_check(void) __attribute__((weak));

#ifdef TURNED_OFF
int __lsan_is_turned_off(void)
{
    return 1;
}
#endif
#ifdef SUPPRESSES
const char *__lsan_default_suppressions(void)
{
    return "leak:take\n";
}
#endif

/* And what hangs from such blocks. */
static void ignored(void)
{
    __lsan_disable();
    void **block = take(101);
    __lsan_enable();
    block[0] = take(102);
    block = take(200103);
    block[0] = take(104);
    __lsan_ignore_object((char *)block + 100000);
    take(105);
}

static void recoverable(void)
{
    int none = __lsan_do_recoverable_leak_check();
    take(106);
    wipe();
    int some = __lsan_do_recoverable_leak_check();
    printf("went on: %d, %d\n", none, some);
    fflush(stdout);
}

static void last(void)
{
    take(107);
    wipe();
    __lsan_do_leak_check();
    puts("FAILED: went on");
}

static void last_without_leaks(void)
{
    __lsan_do_leak_check();
    take(108);
    puts("went on");
}

static const struct planted cases[] = {
    {"ignored", ignored},
    {"recoverable", recoverable},
    {"last", last},
    {"last_without_leaks", last_without_leaks},
};

int main(int argc, char **argv)
{
    return planted_main(cases, sizeof cases / sizeof cases[0], argc, argv);
}
