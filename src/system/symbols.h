/* symbols.h - the dynamic symbols of a loaded module, read as the dynamic linker does.
 *
 * Allocates nothing, takes no lock. The module must stay loaded meanwhile. */
#ifndef MM_SYMBOLS_H
#define MM_SYMBOLS_H

#include <link.h>
#include <stdint.h>

struct mm_symbols {
    ElfW(Addr) base; /* what the module's addresses count from */
    const ElfW(Sym) * table;
    const char *names;
    const uint32_t *gnu_hash, *hash; /* either may be NULL */
    const uint16_t *versions;        /* NULL: the module has none */
    size_t own_name;                 /* in `names`; 0: it has none */
};

/* The dynamic linker turns what stands in a module's dynamic section into addresses as it loads the
 * module, but not in the kernel's own, which is read-only. A prelinked module may lie lower than it
 * was made for: then its base, which is a difference, is no address. */
static inline ElfW(Addr) mm_symbols_address(ElfW(Addr) base, ElfW(Addr) value)
{
    return value < base && (intptr_t)base > 0 ? value + base : value;
}

struct mm_symbols mm_symbols_of(const ElfW(Dyn) * dynamic, ElfW(Addr) base);
/* Where the module defines this name, in the version that it gives to who asks for none; NULL when
 * it does not. Thread-local ones are not looked for. */
void *mm_symbols_find(const struct mm_symbols *symbols, const char *name);

#endif
