/* loaded.c - see loaded.h. Nothing is locked. The list of modules that debuggers read grows at its
 * end, and those at its beginning, up to the last that was there when the process began, stay: only
 * from there on it is read as what may go. */
#include "stacks/loaded.h"

#include "system/bitmap.h"
#include "system/libc.h"

#include <stdatomic.h>
#include <sys/auxv.h>

#define PAGE       ((uintptr_t)4096) /* the smallest that there is */
#define STAMP_BITS 6u
/* A list that is longer goes round in circles: it was read as it changed. */
#define MAPS_MOST 4096u

static _Atomic uint32_t changes;
static const struct link_map *_Atomic last_that_stays; /* NULL: not known yet */

void mm_loaded_changed(void)
{
    atomic_fetch_add_explicit(&changes, 1, memory_order_relaxed);
}

uint32_t mm_loaded_changes(void)
{
    return atomic_load_explicit(&changes, memory_order_relaxed);
}

/* --- program headers --- */

struct parts {
    struct mm_peeker *from;
    uintptr_t at;
    unsigned count;
};

static bool read_part(const struct parts *parts, unsigned number, ElfW(Phdr) * part)
{
    return mm_peeker_read(parts->from, parts->at + number * sizeof *part, part, sizeof *part);
}

/* They are in the module's first page, or not looked for. */
static bool find_parts(struct mm_peeker *from, uintptr_t header, struct parts *parts)
{
    ElfW(Ehdr) it;
    if (!mm_peeker_read(from, header, &it, sizeof it) || memcmp(it.e_ident, ELFMAG, SELFMAG) != 0 ||
        it.e_phoff + it.e_phnum * sizeof(ElfW(Phdr)) > PAGE)
        return false;
    *parts = (struct parts){from, header + it.e_phoff, it.e_phnum};
    return true;
}

/* The kernel tells them; or, when it started the dynamic linker as the program, that does. */
static struct parts parts_of_program(struct mm_peeker *from)
{
    mm_peeker_start(from, true, NULL, 0);
    return (struct parts){from, getauxval(AT_PHDR), (unsigned)getauxval(AT_PHNUM)};
}

/* --- the list of modules --- */

static uintptr_t find_dynamic(void)
{
    struct mm_peeker peeker;
    struct parts parts = parts_of_program(&peeker);
    uintptr_t bias = 0, dynamic = 0;
    ElfW(Phdr) part;
    for (unsigned i = 0; i < parts.count && read_part(&parts, i, &part); i++) {
        if (part.p_type == PT_PHDR)
            bias = parts.at - part.p_vaddr;
        else if (part.p_type == PT_DYNAMIC)
            dynamic = part.p_vaddr;
    }
    return dynamic != 0 ? bias + dynamic : 0;
}

/* What the dynamic linker keeps for debuggers, in the program's own dynamic section: the symbol
 * _r_debug may be a copy that a program got at its start. */
static const struct r_debug *list(void)
{
    static const struct r_debug *_Atomic known;
    const struct r_debug *found = atomic_load_explicit(&known, memory_order_relaxed);
    if (found != NULL)
        return found;
    const ElfW(Dyn) *entry = (const ElfW(Dyn) *)find_dynamic(); /* NOLINT */
    for (; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_DEBUG)
            found = (const struct r_debug *)entry->d_un.d_ptr; /* NOLINT */
    }
    atomic_store_explicit(&known, found, memory_order_relaxed);
    return found;
}

static const struct link_map *first_map(void)
{
    return list() != NULL ? list()->r_map : NULL;
}

/* All modules up to libc were there when the process began, as the program needs it, and others
 * come behind. In a namespace of dlmopen()'s libc is another one, which is not in the list. */
MM_COLD static const struct link_map *find_last(void)
{
    const struct link_map *first = first_map(), *map = first;
    struct mm_loaded libc;
    struct link_map it;
    atomic_store_explicit(&last_that_stays, first, memory_order_relaxed); /* to find libc by */
    if (first == NULL || !mm_loaded_find((uintptr_t)getauxval, &libc))
        return first;
    for (unsigned i = 0; map != NULL && map != libc.map && i < MAPS_MOST; i++, map = it.l_next) {
        if (mm_peek(&it, (uintptr_t)map, sizeof it, sizeof it) == 0)
            return first;
    }
    if (map == NULL || map != libc.map)
        return first;
    atomic_store_explicit(&last_that_stays, map, memory_order_relaxed);
    return map;
}

static const struct link_map *last_map(void)
{
    const struct link_map *last = atomic_load_explicit(&last_that_stays, memory_order_relaxed);
    return mm_likely(last != NULL) ? last : find_last();
}

bool mm_loaded_stays(const struct mm_loaded *module)
{
    const struct link_map *last = last_map();
    for (const struct link_map *map = first_map(); map != NULL; map = map->l_next) {
        if (map == module->map)
            return true;
        if (map == last)
            return false;
    }
    return false;
}

/* --- finding by the list --- */

/* What lies in a hole between two segments is somebody else's. */
static bool holds(const struct parts *parts, uintptr_t bias, uintptr_t address,
                  struct mm_loaded *found)
{
    ElfW(Phdr) part;
    bool holds = false;
    found->start = UINTPTR_MAX;
    found->end = found->table = 0;
    for (unsigned i = 0; i < parts->count && read_part(parts, i, &part); i++) {
        uintptr_t start = bias + part.p_vaddr, end = start + part.p_memsz;
        if (part.p_type == PT_GNU_EH_FRAME)
            found->table = start;
        if (part.p_type != PT_LOAD)
            continue;
        start &= ~(PAGE - 1);
        holds = holds || (address >= start && address < end);
        found->start = start < found->start ? start : found->start;
        found->end = end > found->end ? end : found->end;
    }
    return holds;
}

static bool is_in(const struct link_map *map, uintptr_t bias, bool stays, uintptr_t address,
                  struct mm_loaded *found)
{
    unsigned char window[MM_PEEK_WINDOW];
    struct mm_peeker peeker;
    struct parts parts;
    mm_peeker_start(&peeker, stays, window, sizeof window);
    if (map == first_map())
        parts = parts_of_program(&peeker);
    else if (!find_parts(&peeker, bias, &parts))
        return false;
    found->map = map;
    return holds(&parts, bias, address, found);
}

/* Of the libraries the one that begins next below the address, and else the program. */
static bool find_by_list(uintptr_t address, struct mm_loaded *found)
{
    const struct link_map *first = first_map(), *last = last_map(), *best = NULL;
    const struct link_map *map = first;
    uintptr_t bias = 0;
    bool stays = true, best_stays = true;
    struct link_map it;
    for (unsigned i = 0; map != NULL && i < MAPS_MOST; i++) {
        if (stays)
            it = *map;
        else if (mm_peek(&it, (uintptr_t)map, sizeof it, sizeof it) == 0)
            return false;
        if (map != first && it.l_addr <= address && it.l_addr > bias) {
            best = map;
            bias = it.l_addr;
            best_stays = stays;
        }
        stays = stays && map != last;
        map = it.l_next;
    }
    return (best != NULL && is_in(best, bias, best_stays, address, found)) ||
           (first != NULL && is_in(first, first->l_addr, true, address, found));
}

/* --- finding by libc --- */

static bool can_ask_libc(void)
{
#ifdef MM_LOADED_BY_LIST /* a test */
    return false;
#else
    return mm_libc_find_object != NULL;
#endif
}

static bool find_by_libc(uintptr_t address, struct mm_loaded *found)
{
    struct mm_libc_object it;
    if (mm_libc_find_object((void *)address, &it) != 0) /* NOLINT(performance-no-int-to-ptr) */
        return false;
    *found = (struct mm_loaded){it.map, (uintptr_t)it.start, (uintptr_t)it.end,
                                (uintptr_t)it.eh_frame_header};
    return true;
}

bool mm_loaded_find(uintptr_t address, struct mm_loaded *found)
{
    return can_ask_libc() ? find_by_libc(address, found) : find_by_list(address, found);
}

bool mm_loaded_linker(struct mm_loaded *found)
{
    return list() != NULL && mm_loaded_find(list()->r_ldbase, found);
}

/* Where libc was there first, the module of `own` came by dlopen(), and others may have, too. */
void mm_loaded_start(const void *own)
{
    struct mm_loaded mine, libc;
    bool seen = false;
    const struct link_map *last = NULL;
    if (!mm_loaded_find((uintptr_t)own, &mine) || !mm_loaded_find((uintptr_t)getauxval, &libc))
        return;
    for (const struct link_map *map = first_map(); map != NULL; map = map->l_next) {
        seen = seen || map == mine.map;
        if (map == libc.map && !seen)
            return;
        last = map;
    }
    atomic_store_explicit(&last_that_stays, last, memory_order_relaxed);
}

/* --- build-ids --- */

/* Notes are padded to the alignment of their segment. */
static bool find_in_notes(struct mm_peeker *from, uintptr_t at, uintptr_t end, size_t padding,
                          struct mm_build_id *id)
{
    ElfW(Nhdr) header;
    char name[4];
    while (end - at > sizeof header && mm_peeker_read(from, at, &header, sizeof header) &&
           mm_peeker_read(from, at + sizeof header, name, sizeof name)) {
        uintptr_t content = mm_round_up(at + sizeof header + header.n_namesz, padding);
        if (header.n_namesz > end - at || header.n_descsz > end - at || content > end)
            return false;
        if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == sizeof name &&
            memcmp(name, "GNU", sizeof name) == 0) {
            id->size = header.n_descsz < MM_BUILD_ID_MOST ? header.n_descsz : MM_BUILD_ID_MOST;
            return mm_peeker_read(from, content, id->bytes, id->size);
        }
        at = mm_round_up(content + header.n_descsz, padding);
        if (at >= end)
            return false;
    }
    return false;
}

static bool is_loaded(const struct parts *parts, const ElfW(Phdr) * note)
{
    ElfW(Phdr) part;
    for (unsigned i = 0; i < parts->count && read_part(parts, i, &part); i++) {
        if (part.p_type == PT_LOAD && (part.p_flags & PF_R) && note->p_vaddr >= part.p_vaddr &&
            note->p_vaddr + note->p_memsz <= part.p_vaddr + part.p_memsz)
            return true;
    }
    return false;
}

static uintptr_t lowest(const struct parts *parts)
{
    ElfW(Phdr) part;
    for (unsigned i = 0; i < parts->count && read_part(parts, i, &part); i++) {
        if (part.p_type == PT_LOAD)
            return part.p_vaddr & ~(PAGE - 1);
    }
    return 0;
}

void mm_loaded_build_id(const struct mm_loaded *module, struct mm_build_id *id)
{
    unsigned char window[MM_PEEK_WINDOW];
    struct mm_peeker peeker;
    struct parts parts;
    ElfW(Phdr) part;
    mm_peeker_start(&peeker, mm_loaded_stays(module), window, sizeof window);
    id->size = 0;
    if (!find_parts(&peeker, module->start, &parts))
        return;
    uintptr_t bias = module->start - lowest(&parts);
    for (unsigned i = 0; i < parts.count && read_part(&parts, i, &part); i++) {
        uintptr_t notes = bias + part.p_vaddr;
        if (part.p_type == PT_NOTE && is_loaded(&parts, &part) &&
            find_in_notes(&peeker, notes, notes + part.p_memsz, part.p_align == 8 ? 8 : 4, id))
            return;
    }
    id->size = 0;
}

bool mm_loaded_build_id_of_file(const void *head, size_t size, struct mm_build_id *id)
{
    struct mm_peeker peeker;
    struct parts parts;
    ElfW(Phdr) part;
    mm_peeker_start(&peeker, true, NULL, 0);
    id->size = 0;
    if (size < sizeof(ElfW(Ehdr)) || !find_parts(&peeker, (uintptr_t)head, &parts))
        return false;
    for (unsigned i = 0; i < parts.count && read_part(&parts, i, &part); i++) {
        uintptr_t notes = (uintptr_t)head + part.p_offset;
        if (part.p_type != PT_NOTE)
            continue;
        if (part.p_offset > size || part.p_filesz > size - part.p_offset)
            return false;
        if (find_in_notes(&peeker, notes, notes + part.p_filesz, part.p_align == 8 ? 8 : 4, id))
            return true;
    }
    return true;
}

/* --- stamps --- */

static uint64_t add(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static uint32_t stamp_of_hash(uint64_t hash)
{
    return (uint32_t)(hash >> 32) | 1; /* never 0 */
}

uint32_t mm_loaded_quick_stamp(void)
{
    return can_ask_libc() ? 0 : stamp_of_hash(add(1, mm_loaded_changes()));
}

static uint64_t hash_of(const struct mm_loaded *module)
{
    uint64_t hash = add((uintptr_t)module->map, module->start);
    return add(add(hash, module->end), module->table);
}

/* Stamps that were worked out since modules last changed. Both words are written without a lock:
 * the first tells whose the second is only together with it. */
struct known {
    _Atomic uint64_t name, stamp;
};
static struct known stamps[1u << STAMP_BITS];

/* A module may be at the same place and as long as one that is gone: its build-id tells them apart,
 * or, where it has none, that something changed since. */
static uint32_t work_out(const struct mm_loaded *module)
{
    struct mm_build_id id;
    uint64_t hash = hash_of(module);
    mm_loaded_build_id(module, &id);
    for (size_t i = 0; i < id.size; i++)
        hash = add(hash, id.bytes[i]);
    return stamp_of_hash(id.size > 0 ? hash : add(hash, mm_loaded_changes()));
}

/* --- modules that may go --- */

#define NOTED_MOST 256u
static struct mm_gone noted[NOTED_MOST] MM_SELDOM;
static _Atomic uint32_t noted_count;

static bool is_noted(uint32_t stamp)
{
    for (unsigned i = 0; i < NOTED_MOST; i++) {
        uint32_t other = atomic_load_explicit(&noted[i].stamp, memory_order_relaxed);
        if (other == stamp || other == 0)
            return other == stamp;
    }
    return false;
}

static bool read_map(const struct mm_loaded *module, struct mm_gone *gone)
{
    struct mm_peeker peeker;
    struct link_map map;
    unsigned char window[MM_PEEK_WINDOW];
    mm_peeker_start(&peeker, false, window, sizeof window);
    if (!mm_peeker_read(&peeker, (uintptr_t)module->map, &map, sizeof map) ||
        !mm_peeker_text(&peeker, (uintptr_t)map.l_name, gone->path, sizeof gone->path))
        return false;
    gone->bias = map.l_addr;
    return gone->path[0] != '\0';
}

/* Release pairs with the acquire of who finds it. */
static void note_module(const struct mm_loaded *module, uint32_t stamp)
{
    if (atomic_load_explicit(&noted_count, memory_order_relaxed) >= NOTED_MOST || is_noted(stamp))
        return;
    uint32_t number = atomic_fetch_add_explicit(&noted_count, 1, memory_order_relaxed);
    if (number >= NOTED_MOST)
        return;
    struct mm_gone *gone = &noted[number];
    bool is_named = read_map(module, gone);
    mm_loaded_build_id(module, &gone->build_id);
    gone->start = module->start;
    gone->end = is_named ? module->end : module->start; /* nothing lies in it */
    atomic_store_explicit(&gone->stamp, stamp, memory_order_release);
}

const struct mm_gone *mm_loaded_gone(uintptr_t address)
{
    const struct mm_gone *last = NULL;
    for (unsigned i = 0; i < NOTED_MOST; i++) {
        const struct mm_gone *gone = &noted[i];
        if (atomic_load_explicit(&gone->stamp, memory_order_acquire) != 0 &&
            address - gone->start < gone->end - gone->start)
            last = gone;
    }
    return last;
}

static uint32_t stamp_by_list(uintptr_t address, struct mm_loaded *found)
{
    if (find_by_list(address, found))
        return mm_loaded_stays(found) ? 0 : mm_loaded_quick_stamp();
    found->map = NULL;
    return mm_loaded_quick_stamp();
}

uint32_t mm_loaded_stamp(uintptr_t address, struct mm_loaded *found)
{
    if (!can_ask_libc())
        return stamp_by_list(address, found);
    uint64_t now = mm_loaded_changes();
    if (!mm_loaded_find(address, found)) {
        found->map = NULL;
        return stamp_of_hash(add(0, now));
    }
    uint64_t name = add(hash_of(found), now);
    struct known *known = &stamps[name >> (64 - STAMP_BITS)];
    uint64_t stamp = atomic_load_explicit(&known->stamp, memory_order_relaxed);
    if (stamp != 0 && (atomic_load_explicit(&known->name, memory_order_relaxed) ^ stamp) == name)
        return (uint32_t)stamp;
    if (mm_loaded_stays(found))
        return 0;
    stamp = work_out(found);
    note_module(found, (uint32_t)stamp);
    atomic_store_explicit(&known->stamp, stamp, memory_order_relaxed);
    atomic_store_explicit(&known->name, name ^ stamp, memory_order_relaxed);
    return (uint32_t)stamp;
}

bool mm_loaded_is_still(uintptr_t address, uint32_t stamp)
{
    struct mm_loaded now;
    uint32_t quick = mm_loaded_quick_stamp();
    return (quick != 0 ? quick : mm_loaded_stamp(address, &now)) == stamp;
}
