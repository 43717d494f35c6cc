#include "stacks/module.h"

#include "system/libc.h"
#include "system/symbols.h"
#include <link.h>
#include <stdbool.h>
#include <string.h>

struct module {
    const char *name;
    uintptr_t base;            /* what its addresses count from */
    const ElfW(Dyn) * dynamic; /* NULL: it has none */
    const char *start;         /* where its file header is */
};

/* Between a module's segments there may be room, where something else lies. */
static bool covers(const struct dl_phdr_info *info, uintptr_t address, struct module *module)
{
    uintptr_t start = UINTPTR_MAX;
    bool covered = false;
    *module = (struct module){info->dlpi_name, info->dlpi_addr, NULL, NULL};
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_DYNAMIC)
            module->dynamic = (const void *)at;
        if (part->p_type == PT_LOAD && at < start)
            start = at;
        covered |= part->p_type == PT_LOAD && address - at < part->p_memsz;
    }
    module->start = (const char *)start;
    return covered;
}

struct search {
    uintptr_t address;
    struct module *module;
};

static int look_into(struct dl_phdr_info *info, size_t size, void *argument)
{
    const struct search *search = argument;
    (void)size;
    return covers(info, search->address, search->module);
}

static bool find_module(const void *address, struct module *module)
{
    struct mm_libc_object found;
    struct search search = {(uintptr_t)address, module};
    if (mm_libc_find_object == NULL)
        return dl_iterate_phdr(look_into, &search) != 0;
    if (mm_libc_find_object((void *)(uintptr_t)address, &found) != 0)
        return false;
    *module = (struct module){found.map->l_name, found.map->l_addr, found.map->l_ld, found.start};
    return true;
}

const void *mm_module_of(const void *address)
{
    struct module module;
    return find_module(address, &module) ? module.start : NULL;
}

/* --- its symbols --- */

static bool spans(const ElfW(Sym) * symbol, ElfW(Addr) address)
{
    unsigned type = symbol->st_info & 0xf;
    return symbol->st_shndx != SHN_UNDEF && symbol->st_shndx != SHN_ABS && type != STT_TLS &&
           address >= symbol->st_value &&
           address - symbol->st_value < (symbol->st_size != 0 ? symbol->st_size : 1);
}

static void find_symbol(const struct module *module, struct mm_place *place)
{
    struct mm_symbols symbols = mm_symbols_of(module->dynamic, module->base);
    const ElfW(Sym) *nearest = NULL;
    for (uint32_t count = mm_symbols_count(&symbols), i = 0; i < count; i++) {
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
        const char *notes = (const char *)(module->base + segment->p_vaddr);
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
    place->module = module.name[0] != '\0' ? module.name : program;
    place->module_offset = (uintptr_t)address - module.base;
    find_symbol(&module, place);
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
