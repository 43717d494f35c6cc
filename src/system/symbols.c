/* symbols.c - see symbols.h. Owns nothing. */
#include "system/symbols.h"

#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>

static const void *pointer_of(ElfW(Addr) base, const ElfW(Dyn) * entry)
{
    return (const void *)mm_symbols_address(base, entry->d_un.d_ptr);
}

struct mm_symbols mm_symbols_of(const ElfW(Dyn) * dynamic, ElfW(Addr) base)
{
    struct mm_symbols symbols = {.base = base};
    for (const ElfW(Dyn) *entry = dynamic; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SYMTAB)
            symbols.table = pointer_of(base, entry);
        else if (entry->d_tag == DT_STRTAB)
            symbols.names = pointer_of(base, entry);
        else if (entry->d_tag == DT_GNU_HASH)
            symbols.gnu_hash = pointer_of(base, entry);
        else if (entry->d_tag == DT_HASH)
            symbols.hash = pointer_of(base, entry);
        else if (entry->d_tag == DT_VERSYM)
            symbols.versions = pointer_of(base, entry);
        else if (entry->d_tag == DT_SONAME)
            symbols.own_name = entry->d_un.d_val;
    }
    return symbols;
}

/* A table: number of buckets, first symbol, words of the filter, its shift; the filter; the
 * buckets, each the first symbol of a chain; a word a symbol, the hash of its name but for the
 * lowest bit, which ends a chain. */
struct gnu_hash {
    uint32_t buckets, first;
    const uint32_t *bucket, *chains; /* chains: from the first symbol on */
};

static struct gnu_hash read_gnu_hash(const uint32_t *table)
{
    const uint32_t *bucket = table + 4 + table[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    return (struct gnu_hash){table[0], table[1], bucket, bucket + table[0]};
}

#define OLD_VERSION 0x8000 /* only for who asks for it */

static bool defines(const struct mm_symbols *symbols, uint32_t number, const char *name)
{
    const ElfW(Sym) *symbol = &symbols->table[number];
    unsigned type = symbol->st_info & 0xf, binding = symbol->st_info >> 4;
    return symbol->st_shndx != SHN_UNDEF && symbol->st_value != 0 && binding != STB_LOCAL &&
           (type <= STT_FUNC || type == STT_COMMON || type == STT_GNU_IFUNC) &&
           (symbols->versions == NULL || !(symbols->versions[number] & OLD_VERSION)) &&
           strcmp(symbols->names + symbol->st_name, name) == 0;
}

/* These two: 0 when there is none; no symbol has this number. */

static uint32_t find_by_gnu_hash(const struct mm_symbols *symbols, const char *name)
{
    struct gnu_hash hash = read_gnu_hash(symbols->gnu_hash);
    uint32_t wanted = 5381;
    for (const char *letter = name; *letter != '\0'; letter++)
        wanted = wanted * 33 + (unsigned char)*letter;
    uint32_t number = hash.buckets != 0 ? hash.bucket[wanted % hash.buckets] : 0;
    for (; number != 0 && number >= hash.first; number++) {
        uint32_t there = hash.chains[number - hash.first];
        if ((there | 1) == (wanted | 1) && defines(symbols, number, name))
            return number;
        if (there & 1)
            return 0;
    }
    return 0;
}

/* A table: number of buckets, number of symbols; the buckets; for each symbol the next of its
 * chain. */
static uint32_t find_by_hash(const struct mm_symbols *symbols, const char *name)
{
    const uint32_t *bucket = symbols->hash + 2, *next = bucket + symbols->hash[0];
    uint32_t wanted = 0;
    for (const char *letter = name; *letter != '\0'; letter++) {
        wanted = (wanted << 4) + (unsigned char)*letter;
        wanted ^= wanted >> 24 & 0xf0;
        wanted &= 0x0fffffff;
    }
    uint32_t number = symbols->hash[0] != 0 ? bucket[wanted % symbols->hash[0]] : 0;
    while (number != 0 && !defines(symbols, number, name))
        number = next[number];
    return number;
}

/* Such a symbol is a function that says where the one of its name is. */
static void *resolved(uintptr_t resolver)
{
#ifdef __aarch64__
    unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
    const unsigned long features[] = {3 * sizeof first, first, second};
    return ((void *(*)(unsigned long, const void *))resolver)(first | 1ul << 62, features);
#else
    return ((void *(*)(void))resolver)();
#endif
}

void *mm_symbols_find(const struct mm_symbols *symbols, const char *name)
{
    uint32_t number = 0;
    if (symbols->table == NULL || symbols->names == NULL)
        return NULL;
    if (symbols->gnu_hash != NULL)
        number = find_by_gnu_hash(symbols, name);
    else if (symbols->hash != NULL)
        number = find_by_hash(symbols, name);
    if (number == 0)
        return NULL;
    const ElfW(Sym) *symbol = &symbols->table[number];
    uintptr_t address = symbol->st_value + (symbol->st_shndx != SHN_ABS ? symbols->base : 0);
    return (symbol->st_info & 0xf) == STT_GNU_IFUNC ? resolved(address) : (void *)address;
}
