/* Looking names up in a module's table: what dlsym() finds there.
 * usage: unit_symbols LIBRARY... */
#include "system/symbols.h"

#include "check.h"
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>

static struct mm_symbols table_of(void *handle)
{
    struct link_map *map;
    CHECK(dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0);
    return mm_symbols_of(map->l_ld, map->l_addr);
}

static int call(const struct mm_symbols *symbols, const char *name)
{
    int (*function)(void) = (int (*)(void))mm_symbols_find(symbols, name);
    CHECK(function != NULL);
    return function();
}

static void look_into(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(handle != NULL);
    struct mm_symbols symbols = table_of(handle);
    CHECK_EQUAL(call(&symbols, "symbols_plain"), 1);
    CHECK_EQUAL(call(&symbols, "symbols_versioned"), 3);
    CHECK_EQUAL(call(&symbols, "symbols_chosen"), 5);
    int *variable = mm_symbols_find(&symbols, "symbols_variable");
    CHECK(variable != NULL && *variable == 6);
    CHECK(mm_symbols_find(&symbols, "symbols_hidden") == NULL);
    CHECK(mm_symbols_find(&symbols, "symbols_of_thread") == NULL);
    CHECK(mm_symbols_find(&symbols, "symbols_none") == NULL);
    CHECK(mm_symbols_find(&symbols, "") == NULL);
    dlclose(handle);
}

/* A preloaded library's dlsym() may have its own function for one of libc's. */
static bool is_anothers(const void *function, const void *handle)
{
    Dl_info info;
    struct link_map *map;
    return getenv("LD_PRELOAD") != NULL &&
           dladdr1(function, &info, (void **)&map, RTLD_DL_LINKMAP) != 0 && map != handle;
}

/* By the table of hashes: the older kind tells it. In the newer one, of words, the chain that
 * starts last ends with the last symbol; see symbols.c. */
static uint32_t count(const struct mm_symbols *symbols)
{
    if (symbols->hash != NULL)
        return symbols->hash[1];
    const uint32_t *table = symbols->gnu_hash;
    const uint32_t *bucket = table + 4 + table[2] * sizeof(long) / sizeof *table;
    const uint32_t *chains = bucket + table[0];
    uint32_t last = 0;
    for (uint32_t i = 0; i < table[0]; i++)
        last = bucket[i] > last ? bucket[i] : last;
    while (!(chains[last - table[1]] & 1))
        last++;
    return last + 1;
}

/* Every name of libc's that dlsym() finds there. */
static void look_into_libc(void)
{
    void *handle = dlopen("libc.so.6", RTLD_NOW);
    struct mm_symbols symbols = table_of(handle);
    unsigned compared = 0;
    for (uint32_t i = 1, end = count(&symbols); i < end; i++) {
        const ElfW(Sym) *symbol = &symbols.table[i];
        const char *name = symbols.names + symbol->st_name;
        bool is_function = (symbol->st_info & 0xf) == STT_FUNC;
        if (!is_function || symbol->st_shndx == SHN_UNDEF)
            continue;
        const void *there = dlsym(handle, name);
        CHECK(mm_symbols_find(&symbols, name) == there || is_anothers(there, handle));
        compared++;
    }
    CHECK(compared > 1000);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        look_into(argv[i]);
    look_into_libc();
}
