/* libc.c - see libc.h. The list of modules is the dynamic linker's, and read without a lock at the
 * start; what is found then is written once, before there are threads that could ask for it. */
#include "system/libc.h"

#include "system/symbols.h"
#include <dlfcn.h>
#include <string.h>

/* The linker makes it, but not for a static program. */
#pragma weak _DYNAMIC

struct search {
    enum mm_libc_place place;
    bool is_behind; /* of our own module */
    const char *const *names;
    void *_Atomic *found;
    unsigned count;
};

static bool is_named(const struct mm_symbols *module, const char *start)
{
    return module->own_name != 0 &&
           strncmp(module->names + module->own_name, start, strlen(start)) == 0;
}

static bool is_dynamic_linker(const struct mm_symbols *module)
{
    return is_named(module, "ld-linux");
}

static bool is_of_libc(const struct mm_symbols *module)
{
    return is_named(module, "libc.so.6") || is_dynamic_linker(module) ||
           is_named(module, "libdl.so.2") || is_named(module, "libpthread.so.0");
}

/* The dynamic linker has a malloc(), before 2.32, that is good for its own start only. */
static bool is_wanted(struct search *search, const struct mm_symbols *module,
                      const ElfW(Dyn) * dynamic)
{
    bool is_behind = search->is_behind;
    search->is_behind |= dynamic == _DYNAMIC;
    switch (search->place) {
    case MM_LIBC_FIRST:
        return true;
    case MM_LIBC_NEXT:
        return is_behind && !is_dynamic_linker(module);
    default:
        return is_of_libc(module);
    }
}

static void look_into(struct search *search, const ElfW(Dyn) * dynamic, ElfW(Addr) base)
{
    struct mm_symbols module = mm_symbols_of(dynamic, base);
    if (module.names == NULL || !is_wanted(search, &module, dynamic))
        return;
    for (unsigned i = 0; i < search->count; i++) {
        if (atomic_load_explicit(&search->found[i], memory_order_relaxed) == NULL)
            atomic_store_explicit(&search->found[i], mm_symbols_find(&module, search->names[i]),
                                  memory_order_relaxed);
    }
}

static void look_through(struct search *search, const struct link_map *first)
{
    for (const struct link_map *map = first; map != NULL; map = map->l_next)
        look_into(search, map->l_ld, map->l_addr);
}

/* In a namespace of its own our module is in another list. Who made that has dladdr1(). */
static const struct link_map *find_own_map(void)
{
    const struct link_map *map = _r_debug.r_map;
    while (map != NULL && map->l_ld != _DYNAMIC)
        map = map->l_next;
    if (map != NULL)
        return map;
    static const char *const name[] = {"dladdr1"};
    void *_Atomic found[] = {NULL};
    look_through(&(struct search){MM_LIBC_OWN, false, name, found, 1}, _r_debug.r_map);
    __typeof__(dladdr1) *find = (__typeof__(dladdr1) *)atomic_load(found);
    Dl_info info;
    if (find != NULL && find(_DYNAMIC, &info, (void **)&map, RTLD_DL_LINKMAP) == 0)
        return NULL;
    return map;
}

static const struct link_map *first_map(void)
{
    const struct link_map *map = find_own_map();
    while (map != NULL && map->l_prev != NULL)
        map = map->l_prev;
    return map;
}

static bool has_all(const struct search *search)
{
    for (unsigned i = 0; i < search->count; i++) {
        if (atomic_load_explicit(&search->found[i], memory_order_relaxed) == NULL)
            return false;
    }
    return true;
}

void mm_libc_find_all(enum mm_libc_place place, const char *const names[], void *_Atomic found[],
                      unsigned count)
{
    const struct link_map *first = first_map();
    struct search search = {place, false, names, found, count};
    look_through(&search, first);
    if (place == MM_LIBC_NEXT && !has_all(&search)) {
        search.place = MM_LIBC_OWN;
        look_through(&search, first);
    }
}

void *mm_libc_find(enum mm_libc_place place, const char *name)
{
    void *_Atomic found[] = {NULL};
    mm_libc_find_all(place, &name, found, 1);
    return atomic_load_explicit(found, memory_order_relaxed);
}

static int look_into_one(struct dl_phdr_info *info, size_t size, void *search)
{
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            look_into(search, (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr),
                      info->dlpi_addr);
    }
    return 0;
}

void mm_libc_find_all_late(enum mm_libc_place place, const char *const names[],
                           void *_Atomic found[], unsigned count)
{
    struct search search = {place, false, names, found, count};
    dl_iterate_phdr(look_into_one, &search);
    search.place = MM_LIBC_OWN;
    if (place == MM_LIBC_NEXT && !has_all(&search))
        dl_iterate_phdr(look_into_one, &search);
}

void *mm_libc_find_late(enum mm_libc_place place, const char *name)
{
    void *_Atomic found[] = {NULL};
    mm_libc_find_all_late(place, &name, found, 1);
    return atomic_load_explicit(found, memory_order_relaxed);
}

/* --- what the core asks for --- */

static const char no_such_variable;
const char *mm_libc_single_threaded = &no_such_variable;
bool mm_libc_is_old;
int (*mm_libc_find_object)(void *address, struct mm_libc_object *object);

static const char *(*error_text)(int error); /* from 2.32 on */
static const char *const *error_texts;       /* before */
static int error_count;

enum { ANY_RELEASE, FIND_OBJECT, ERROR_TEXT, ERROR_TEXTS, ERROR_COUNT, COUNT };
static void *_Atomic found_of_libc[COUNT], *_Atomic found_variable;

/* Of the variable a program may have a copy, which then is the one that libc itself uses: the first
 * is taken. */
void mm_libc_look_up(bool is_late)
{
    static const char *const names[COUNT] = {"gnu_get_libc_version", "_dl_find_object",
                                             "strerrordesc_np", "sys_errlist", "sys_nerr"};
    static const char *const variable[] = {"__libc_single_threaded"};
    static _Atomic bool has_looked;
    void (*find)(enum mm_libc_place, const char *const[], void *_Atomic[], unsigned) =
        is_late ? mm_libc_find_all_late : mm_libc_find_all;
    if (atomic_load_explicit(&has_looked, memory_order_acquire))
        return;
    find(MM_LIBC_FIRST, variable, &found_variable, 1);
    find(MM_LIBC_OWN, names, found_of_libc, COUNT);
    atomic_store_explicit(&has_looked, true, memory_order_release);
}

void mm_libc_start(void)
{
    void *_Atomic *found = found_of_libc;
    const char *variable = found_variable;
    mm_libc_single_threaded = variable != NULL ? variable : &no_such_variable;
    mm_libc_is_old = variable == NULL && found[ANY_RELEASE] != NULL;
    mm_libc_find_object = (int (*)(void *, struct mm_libc_object *))found[FIND_OBJECT];
    error_text = (const char *(*)(int))found[ERROR_TEXT];
    error_texts = (const char *const *)found[ERROR_TEXTS];
    error_count = found[ERROR_COUNT] != NULL ? *(const int *)found[ERROR_COUNT] : 0;
}

const char *mm_libc_error_text(int error)
{
    if (error_text != NULL)
        return error_text(error);
    return error_texts != NULL && error >= 0 && error < error_count ? error_texts[error] : NULL;
}
