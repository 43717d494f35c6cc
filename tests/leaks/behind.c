/* behind.c - another one that has LeakSanitizer's interface, behind the shim: says what it is
 * asked. */
#include <stdio.h>

void __lsan_disable(void);
void __lsan_enable(void);
void __lsan_ignore_object(const void *object);
void __lsan_register_root_region(const void *start, size_t size);
void __lsan_unregister_root_region(const void *start, size_t size);
int __lsan_do_recoverable_leak_check(void);
void __lsan_do_leak_check(void);

static void say(const char *what)
{
    printf("behind: %s\n", what);
    fflush(stdout);
}

void __lsan_disable(void)
{
    say("disable");
}

void __lsan_enable(void)
{
    say("enable");
}

void __lsan_ignore_object(const void *object)
{
    say(object != NULL ? "ignore" : "FAILED");
}

void __lsan_register_root_region(const void *start, size_t size)
{
    say(start != NULL && size == 16 ? "register" : "FAILED");
}

void __lsan_unregister_root_region(const void *start, size_t size)
{
    say(start != NULL && size == 16 ? "unregister" : "FAILED");
}

int __lsan_do_recoverable_leak_check(void)
{
    say("recoverable");
    return 1;
}

void __lsan_do_leak_check(void)
{
    say("check");
}
