/* An allocator for between the shim and libc that has blocks of its own by the exported names,
 * small and large, and by libc's: taken in one of its functions and given back in none, and the
 * other way round. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void __libc_free(void *block);

enum { KEPT = 4 };
static const size_t sizes[KEPT] = {40, 5000, 100000, 3000000};
static struct {
    char *by_name[KEPT], *libcs[KEPT];
} taken_inside, taken_outside;
static _Thread_local int inside;

static void take(char **by_name, char **libcs)
{
    for (int i = 0; i < KEPT; i++) {
        by_name[i] = memset(malloc(sizes[i]), i, sizes[i]);
        libcs[i] = memset(__libc_malloc(sizes[i]), i, sizes[i]);
        by_name[i] = realloc(by_name[i], 2 * sizes[i]);
        libcs[i] = __libc_realloc(libcs[i], 2 * sizes[i]);
        if (by_name[i][sizes[i] - 1] != i || libcs[i][sizes[i] - 1] != i)
            abort();
    }
}

static void give_back(char **by_name, char **libcs)
{
    for (int i = 0; i < KEPT; i++) {
        free(by_name[i]);
        __libc_free(libcs[i]);
        by_name[i] = libcs[i] = NULL;
    }
}

/* What it does the first time it is called, in the middle of the program's call. */
static void begin(void)
{
    if (inside || taken_inside.by_name[0] != NULL)
        return;
    inside = 1;
    take(taken_inside.by_name, taken_inside.libcs);
    if (taken_outside.by_name[0] != NULL)
        give_back(taken_outside.by_name, taken_outside.libcs);
    inside = 0;
}

__attribute__((constructor)) static void start(void)
{
    take(taken_outside.by_name, taken_outside.libcs);
}

/* What a signal handler of the program's would do in the middle of it. */
void (*keeps_handler)(void);

/* For the program to call. */
void keeps_give_back(void)
{
    give_back(taken_inside.by_name, taken_inside.libcs);
}

void *malloc(size_t size)
{
    static void *(*libc)(size_t);
    if (libc == NULL)
        libc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    begin();
    void (*handler)(void) = keeps_handler;
    keeps_handler = NULL;
    if (handler != NULL)
        handler();
    return libc(size);
}

void free(void *block)
{
    static void (*libc)(void *);
    if (libc == NULL)
        libc = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    begin();
    libc(block);
}
