/* The malloc family by a handle of libc, as scripting languages call it, in any mixture with the
 * functions that libc calls itself. */
#include "check.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *libc;

static void *ask(const char *name)
{
    void *function = dlsym(libc, name);
    CHECK(function != NULL);
    return function;
}

int main(void)
{
    libc = dlopen("libc.so.6", RTLD_LAZY);
    CHECK(libc != NULL);
    void *(*allocate)(size_t) = (void *(*)(size_t))ask("malloc");
    void *(*resize)(void *, size_t) = (void *(*)(void *, size_t))ask("realloc");
    void (*release)(void *) = (void (*)(void *))ask("free");
    size_t (*usable)(void *) = (size_t(*)(void *))ask("malloc_usable_size");
    for (size_t size = 1; size < 200000; size += size / 2 + 1) {
        free(allocate(size));
        release(malloc(size));
        void *block = resize(realloc(allocate(size), 2 * size), 3 * size);
        CHECK(usable(block) >= 3 * size && malloc_usable_size(block) == usable(block));
        release(block);
    }
    static const char *const others[] = {"__libc_free", "cfree"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        void (*other)(void *) = (void (*)(void *))dlsym(libc, others[i]);
        for (size_t size = 10; other != NULL && size < 1000000; size *= 10)
            other(malloc(size));
    }
    static const char *const more[] = {"__libc_malloc", "__libc_valloc", "__libc_pvalloc",
                                       "valloc"};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        void *(*other)(size_t) = (void *(*)(size_t))ask(more[i]);
        for (size_t size = 10; size < 1000000; size *= 10)
            free(other(size));
    }
    void *(*other_calloc)(size_t, size_t) = (void *(*)(size_t, size_t))ask("__libc_calloc");
    void *(*other_memalign)(size_t, size_t) = (void *(*)(size_t, size_t))ask("__libc_memalign");
    void *(*other_realloc)(void *, size_t) = (void *(*)(void *, size_t))ask("__libc_realloc");
    for (size_t size = 10; size < 1000000; size *= 10) {
        free(other_realloc(other_calloc(1, size), 2 * size));
        free(other_realloc(other_memalign(64, size), size / 2));
    }
    char *text = strdup("a text of libc's");
    release(text);
    CHECK(asprintf(&text, "%d", 42) == 2);
    release(text);
    CHECK(ask("strlen") == dlsym(RTLD_DEFAULT, "strlen"));
    CHECK(dlsym(RTLD_DEFAULT, "malloc") == (void *)allocate);
    CHECK(dlsym(libc, "no_such_name") == NULL && dlerror() != NULL);
    return 0;
}
