/* symtab.c - see symtab.h. All is the caller's. */
#include "stacks/symtab.h"

#include "system/os.h"
#include <string.h>

#define SYMBOLS_MOST  ((uint64_t)256 << 20) /* bytes of a table that is looked through */
#define SECTIONS_MOST 4096u

static bool read_at(const struct mm_symtab *symtab, void *to, size_t size, uint64_t offset)
{
    return mm_os_read_at(symtab->fd, to, size, offset) == size;
}

/* --- which file --- */

static bool is_same_file(struct mm_symtab *symtab, const struct mm_place *place,
                         const char *program)
{
    struct mm_build_id id;
    size_t size = mm_os_read_at(symtab->fd, symtab->window, sizeof symtab->window, 0);
    if (!mm_loaded_build_id_of_file(symtab->window, size, &id) || id.size != place->build_id_size)
        return false;
    /* Of what was deleted or replaced the kernel tells no path that opens. */
    if (id.size == 0)
        return strcmp(place->module, program) == 0;
    return memcmp(id.bytes, place->build_id, id.size) == 0;
}

static bool read_section(const struct mm_symtab *symtab, const ElfW(Ehdr) * file, unsigned number,
                         ElfW(Shdr) * section)
{
    return number < file->e_shnum &&
           read_at(symtab, section, sizeof *section, file->e_shoff + number * sizeof *section);
}

static bool find_tables(struct mm_symtab *symtab)
{
    ElfW(Ehdr) file;
    ElfW(Shdr) section, names;
    if (!read_at(symtab, &file, sizeof file, 0) || memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 ||
        file.e_shentsize != sizeof section || file.e_shnum > SECTIONS_MOST)
        return false;
    for (unsigned i = 0; read_section(symtab, &file, i, &section); i++) {
        if (section.sh_type != SHT_SYMTAB || section.sh_size > SYMBOLS_MOST)
            continue;
        if (!read_section(symtab, &file, section.sh_link, &names))
            return false;
        symtab->symbols = section.sh_offset;
        symtab->symbols_size = section.sh_size;
        symtab->names = names.sh_offset;
        symtab->names_size = names.sh_size;
        return true;
    }
    return false;
}

bool mm_symtab_open(struct mm_symtab *symtab, const struct mm_place *place, const char *program)
{
    bool is_file = place->module != NULL && place->module[0] == '/';
    symtab->fd = is_file ? mm_os_open_read(place->module) : -1;
    if (symtab->fd < 0)
        return false;
    if (is_same_file(symtab, place, program) && find_tables(symtab))
        return true;
    mm_symtab_close(symtab);
    return false;
}

void mm_symtab_close(struct mm_symtab *symtab)
{
    mm_os_close(symtab->fd);
    symtab->fd = -1;
}

/* --- symbols --- */

static bool is_of_memory(const ElfW(Sym) * symbol)
{
    unsigned type = symbol->st_info & 0xf;
    return (type == STT_FUNC || type == STT_OBJECT || type == STT_GNU_IFUNC) &&
           symbol->st_shndx != SHN_UNDEF && symbol->st_shndx != SHN_ABS && symbol->st_size != 0;
}

/* Of several the one that starts last: what lies in another. */
static void note(struct mm_symtab_place *places, unsigned count, const ElfW(Sym) * symbol)
{
    for (unsigned i = 0; i < count; i++) {
        struct mm_symtab_place *place = &places[i];
        if (place->offset - symbol->st_value >= symbol->st_size ||
            (place->found && place->start >= symbol->st_value))
            continue;
        place->found = true;
        place->start = symbol->st_value;
        place->size = symbol->st_size;
        place->name = symbol->st_name;
    }
}

void mm_symtab_search(struct mm_symtab *symtab, struct mm_symtab_place *places, unsigned count)
{
    ElfW(Sym) symbol;
    size_t most = sizeof symtab->window - sizeof symtab->window % sizeof symbol;
    for (uint64_t done = 0; done + sizeof symbol <= symtab->symbols_size; done += most) {
        uint64_t left = symtab->symbols_size - done;
        size_t got = mm_os_read_at(symtab->fd, symtab->window, left < most ? left : most,
                                   symtab->symbols + done);
        for (size_t at = 0; at + sizeof symbol <= got; at += sizeof symbol) {
            memcpy(&symbol, symtab->window + at, sizeof symbol);
            if (is_of_memory(&symbol))
                note(places, count, &symbol);
        }
        if (got < most)
            return;
    }
}

bool mm_symtab_name(struct mm_symtab *symtab, const struct mm_symtab_place *place, char *name,
                    size_t capacity)
{
    if (!place->found || place->name >= symtab->names_size)
        return false;
    uint64_t left = symtab->names_size - place->name;
    size_t most = left < capacity - 1 ? left : capacity - 1;
    name[mm_os_read_at(symtab->fd, name, most, symtab->names + place->name)] = '\0';
    return name[0] != '\0';
}
