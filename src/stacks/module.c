/* module.c - see module.h. Keeps nothing and locks nothing. */
#include "stacks/module.h"

#include "system/peek.h"
#include "system/symbols.h"
#include <stdbool.h>
#include <string.h>

const void *mm_module_of(const void *address)
{
    struct mm_loaded module;
    return mm_loaded_find((uintptr_t)address, &module) ? module.map : NULL;
}

/* --- its symbols --- */

struct symbols {
    struct mm_peeker *from;
    uintptr_t bias, table, names, gnu_hash, hash; /* 0: there is none */
};

static uintptr_t address_in(const struct symbols *symbols, const ElfW(Dyn) * entry)
{
    return mm_symbols_address(symbols->bias, entry->d_un.d_ptr);
}

static bool find_tables(struct symbols *symbols, uintptr_t dynamic)
{
    ElfW(Dyn) entry;
    for (; mm_peeker_read(symbols->from, dynamic, &entry, sizeof entry); dynamic += sizeof entry) {
        if (entry.d_tag == DT_NULL)
            return symbols->table != 0 && symbols->names != 0;
        if (entry.d_tag == DT_SYMTAB)
            symbols->table = address_in(symbols, &entry);
        else if (entry.d_tag == DT_STRTAB)
            symbols->names = address_in(symbols, &entry);
        else if (entry.d_tag == DT_GNU_HASH)
            symbols->gnu_hash = address_in(symbols, &entry);
        else if (entry.d_tag == DT_HASH)
            symbols->hash = address_in(symbols, &entry);
    }
    return false;
}

static uint32_t read_word(struct mm_peeker *from, uintptr_t at, uint32_t otherwise)
{
    uint32_t word;
    return mm_peeker_read(from, at, &word, sizeof word) ? word : otherwise;
}

/* A table: number of buckets, first symbol, words of the filter, its shift; the filter; the
 * buckets, each the first symbol of a chain; a word a symbol, whose lowest bit ends a chain. The
 * last symbol ends the chain that starts last. */
static uint32_t count_by_gnu_hash(struct mm_peeker *from, uintptr_t table)
{
    uint32_t buckets = read_word(from, table, 0), first = read_word(from, table + 4, 0), last = 0;
    uintptr_t bucket = table + 16 + read_word(from, table + 8, 0) * sizeof(ElfW(Addr));
    uintptr_t chains = bucket + 4 * (uintptr_t)buckets;
    for (uint32_t i = 0; i < buckets; i++) {
        uint32_t start = read_word(from, bucket + 4 * (uintptr_t)i, UINT32_MAX);
        if (start == UINT32_MAX)
            return 0;
        last = start > last ? start : last;
    }
    if (last < first)
        return 0;
    while (!(read_word(from, chains + 4 * (uintptr_t)(last - first), 1) & 1))
        last++;
    return last + 1;
}

static uint32_t count_symbols(const struct symbols *symbols)
{
    if (symbols->gnu_hash != 0)
        return count_by_gnu_hash(symbols->from, symbols->gnu_hash);
    return symbols->hash != 0 ? read_word(symbols->from, symbols->hash + 4, 0) : 0;
}

static bool spans(const ElfW(Sym) * symbol, ElfW(Addr) address)
{
    unsigned type = symbol->st_info & 0xf;
    return symbol->st_shndx != SHN_UNDEF && symbol->st_shndx != SHN_ABS && type != STT_TLS &&
           address >= symbol->st_value &&
           address - symbol->st_value < (symbol->st_size != 0 ? symbol->st_size : 1);
}

static char first_letter(const struct symbols *symbols, const ElfW(Sym) * symbol)
{
    char letter;
    return mm_peeker_read(symbols->from, symbols->names + symbol->st_name, &letter, 1) ? letter
                                                                                       : '_';
}

/* Of several names of one place, the one that is not for libraries among themselves. */
static bool is_nearer(const struct symbols *symbols, const ElfW(Sym) * symbol,
                      const ElfW(Sym) * nearest)
{
    if (symbol->st_value != nearest->st_value)
        return symbol->st_value > nearest->st_value;
    return first_letter(symbols, nearest) == '_' && first_letter(symbols, symbol) != '_';
}

static bool find_nearest(const struct symbols *symbols, ElfW(Addr) address, ElfW(Sym) * nearest)
{
    ElfW(Sym) symbol;
    bool found = false;
    for (uint32_t count = count_symbols(symbols), i = 0; i < count; i++) {
        if (!mm_peeker_read(symbols->from, symbols->table + i * sizeof symbol, &symbol,
                            sizeof symbol))
            return false;
        if (spans(&symbol, address) && (!found || is_nearer(symbols, &symbol, nearest))) {
            *nearest = symbol;
            found = true;
        }
    }
    return found;
}

/* A text of a module that stays is told where it lies. */
static const char *text_at(struct mm_peeker *from, uintptr_t at, char *copy, size_t capacity)
{
    if (from->trusts)
        return (const char *)at; /* NOLINT(performance-no-int-to-ptr) */
    return mm_peeker_text(from, at, copy, capacity) ? copy : NULL;
}

static void find_symbol(struct mm_peeker *from, const struct link_map *map, struct mm_place *place,
                        struct mm_place_text *text)
{
    struct symbols symbols = {.from = from, .bias = map->l_addr};
    ElfW(Sym) nearest = {0};
    if (map->l_ld == NULL || !find_tables(&symbols, (uintptr_t)map->l_ld) ||
        !find_nearest(&symbols, place->module_offset, &nearest))
        return;
    place->symbol =
        text_at(from, symbols.names + nearest.st_name, text->symbol, sizeof text->symbol);
    place->symbol_offset = place->module_offset - nearest.st_value;
}

/* --- all of it --- */

static void read_place(const struct mm_loaded *module, struct mm_peeker *from, const char *program,
                       struct mm_place *place, struct mm_place_text *text)
{
    struct link_map map;
    if (!mm_peeker_read(from, (uintptr_t)module->map, &map, sizeof map))
        return;
    mm_loaded_build_id(module, &text->build_id);
    place->build_id = text->build_id.bytes;
    place->build_id_size = text->build_id.size;
    place->module_offset -= map.l_addr;
    place->module = text_at(from, (uintptr_t)map.l_name, text->module, sizeof text->module);
    if (place->module != NULL && place->module[0] == '\0')
        place->module = program;
    find_symbol(from, &map, place, text);
}

/* What is kept of it is never changed. */
static void tell_gone(uintptr_t address, struct mm_place *place)
{
    const struct mm_gone *gone = mm_loaded_gone(address);
    if (gone == NULL)
        return;
    *place = (struct mm_place){
        .module = gone->path,
        .module_offset = address - gone->bias,
        .build_id = gone->build_id.bytes,
        .build_id_size = gone->build_id.size,
        .unloaded = true,
    };
}

/* What went meanwhile, or came, is not told half. */
void mm_module_place(const void *address, const char *program, struct mm_place *place,
                     struct mm_place_text *text)
{
    struct mm_loaded module;
    unsigned char window[MM_PEEK_WINDOW];
    struct mm_peeker from;
    uint32_t stamp = mm_loaded_stamp((uintptr_t)address, &module);
    *place = (struct mm_place){0};
    if (stamp != 0 && module.map == NULL) {
        tell_gone((uintptr_t)address, place);
        return;
    }
    mm_peeker_start(&from, stamp == 0, window, sizeof window);
    place->module_offset = (uintptr_t)address;
    read_place(&module, &from, program, place, text);
    if (place->module == NULL || (stamp != 0 && !mm_loaded_is_still((uintptr_t)address, stamp)))
        *place = (struct mm_place){0};
}

void mm_module_write_offset(struct mm_out *out, const struct mm_place *place)
{
    if (place->module == NULL)
        return;
    mm_out_format(out, " (");
    mm_out_cut(out, place->module, MM_PATH_SHOWN);
    mm_out_format(out, "+%x)", (uint64_t)place->module_offset);
}
