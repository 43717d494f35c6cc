#include "stacks/module.h"

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>

struct module {
    const struct link_map *map;
    const char *start; /* where its file header is */
};

static bool find_module(const void *address, struct module *module)
{
#ifdef DLFO_STRUCT_HAS_EH_DBASE
    struct dl_find_object found;
    if (_dl_find_object((void *)(uintptr_t)address, &found) != 0)
        return false;
    *module = (struct module){found.dlfo_link_map, found.dlfo_map_start};
#else
    Dl_info info;
    struct link_map *map;
    if (dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) == 0)
        return false;
    *module = (struct module){map, info.dli_fbase};
#endif
    return true;
}

const void *mm_module_of(const void *address)
{
    struct module module;
    return find_module(address, &module) ? module.map : NULL;
}

/* --- its symbols --- */

struct symbols {
    const ElfW(Sym) * table;
    const char *names;
    const uint32_t *gnu_hash, *hash;
};

/* The dynamic linker turns these into addresses as it loads a module, but not in the kernel's own,
 * which is read-only. */
static const void *pointer_of(const struct link_map *map, const ElfW(Dyn) * entry)
{
    ElfW(Addr) value = entry->d_un.d_ptr;
    return (const void *)(value < map->l_addr ? value + map->l_addr : value);
}

static struct symbols symbols_of(const struct link_map *map)
{
    struct symbols symbols = {0};
    for (const ElfW(Dyn) *entry = map->l_ld; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SYMTAB)
            symbols.table = pointer_of(map, entry);
        else if (entry->d_tag == DT_STRTAB)
            symbols.names = pointer_of(map, entry);
        else if (entry->d_tag == DT_GNU_HASH)
            symbols.gnu_hash = pointer_of(map, entry);
        else if (entry->d_tag == DT_HASH)
            symbols.hash = pointer_of(map, entry);
    }
    return symbols;
}

/* A table: number of buckets, first symbol, words of the filter, its shift; the filter; the
 * buckets, each the first symbol of a chain; a word a symbol, whose lowest bit ends a chain. The
 * last symbol ends the chain that starts last. */
static uint32_t count_by_gnu_hash(const uint32_t *table)
{
    uint32_t buckets = table[0], first = table[1], last = 0;
    const uint32_t *bucket = table + 4 + table[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    const uint32_t *chains = bucket + buckets;
    for (uint32_t i = 0; i < buckets; i++)
        last = bucket[i] > last ? bucket[i] : last;
    if (last < first)
        return 0;
    while (!(chains[last - first] & 1))
        last++;
    return last + 1;
}

static uint32_t count_symbols(const struct symbols *symbols)
{
    if (symbols->table == NULL || symbols->names == NULL)
        return 0;
    if (symbols->gnu_hash != NULL)
        return count_by_gnu_hash(symbols->gnu_hash);
    return symbols->hash != NULL ? symbols->hash[1] : 0;
}

static bool spans(const ElfW(Sym) * symbol, ElfW(Addr) address)
{
    unsigned type = symbol->st_info & 0xf;
    return symbol->st_shndx != SHN_UNDEF && symbol->st_shndx != SHN_ABS && type != STT_TLS &&
           address >= symbol->st_value &&
           address - symbol->st_value < (symbol->st_size != 0 ? symbol->st_size : 1);
}

static void find_symbol(const struct link_map *map, struct mm_place *place)
{
    struct symbols symbols = symbols_of(map);
    const ElfW(Sym) *nearest = NULL;
    for (uint32_t count = count_symbols(&symbols), i = 0; i < count; i++) {
        const ElfW(Sym) *symbol = &symbols.table[i];
        if (spans(symbol, place->module_offset) &&
            (nearest == NULL || symbol->st_value > nearest->st_value))
            nearest = symbol;
    }
    if (nearest == NULL)
        return;
    place->symbol = symbols.names + nearest->st_name;
    place->symbol_offset = place->module_offset - nearest->st_value;
}

/* --- its build-id --- */

static size_t rounded_up(size_t size, size_t multiple)
{
    return (size + multiple - 1) & ~(multiple - 1);
}

/* Notes are padded to the alignment of their segment. */
static bool find_in_notes(const char *note, const char *end, size_t padding, struct mm_place *place)
{
    while ((size_t)(end - note) >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *header = (const void *)note;
        const char *name = note + sizeof *header;
        size_t to_content = rounded_up(sizeof *header + header->n_namesz, padding);
        size_t whole = rounded_up(to_content + header->n_descsz, padding);
        if (whole > (size_t)(end - note))
            return false;
        if (header->n_type == NT_GNU_BUILD_ID && header->n_namesz == 4 &&
            memcmp(name, "GNU", 4) == 0) {
            place->build_id = (const unsigned char *)note + to_content;
            place->build_id_size = header->n_descsz;
            return true;
        }
        note += whole;
    }
    return false;
}

static bool is_loaded(const ElfW(Phdr) * segments, unsigned count, const ElfW(Phdr) * part)
{
    for (unsigned i = 0; i < count; i++) {
        if (segments[i].p_type == PT_LOAD && (segments[i].p_flags & PF_R) &&
            part->p_vaddr >= segments[i].p_vaddr &&
            part->p_vaddr + part->p_memsz <= segments[i].p_vaddr + segments[i].p_memsz)
            return true;
    }
    return false;
}

/* The headers are in the module's first page, or they are not looked for. */
static void find_build_id(const struct module *module, struct mm_place *place)
{
    const ElfW(Ehdr) *header = (const void *)module->start;
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_phoff + header->e_phnum * sizeof(ElfW(Phdr)) > 4096)
        return;
    const ElfW(Phdr) *segments = (const void *)(module->start + header->e_phoff);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        const ElfW(Phdr) *segment = &segments[i];
        if (segment->p_type != PT_NOTE || !is_loaded(segments, header->e_phnum, segment))
            continue;
        const char *notes = (const char *)(module->map->l_addr + segment->p_vaddr);
        if (find_in_notes(notes, notes + segment->p_memsz, segment->p_align == 8 ? 8 : 4, place))
            return;
    }
}

void mm_module_place(const void *address, const char *program, struct mm_place *place)
{
    struct module module;
    *place = (struct mm_place){0};
    if (!find_module(address, &module))
        return;
    place->module = module.map->l_name[0] != '\0' ? module.map->l_name : program;
    place->module_offset = (uintptr_t)address - module.map->l_addr;
    find_symbol(module.map, place);
    find_build_id(&module, place);
}

void mm_module_write_symbol(struct mm_out *out, const struct mm_place *place)
{
    if (place->symbol == NULL)
        return;
    mm_out_format(out, " in ");
    mm_out_cut(out, place->symbol, MM_SYMBOL_SHOWN);
    mm_out_format(out, "+%x", (uint64_t)place->symbol_offset);
}

void mm_module_write_offset(struct mm_out *out, const struct mm_place *place)
{
    if (place->module == NULL)
        return;
    mm_out_format(out, " (");
    mm_out_cut(out, place->module, MM_PATH_SHOWN);
    mm_out_format(out, "+%x)", (uint64_t)place->module_offset);
}
