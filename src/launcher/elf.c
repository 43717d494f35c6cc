/* elf.c - reads ELF files; see elf.h. A `struct launcher_elf` owns its descriptor and its copies of
 * what was read; functions that look something up change nothing in it. */
#include "launcher/elf.h"

#include "launcher/base.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_LONGEST 4096u
#define NOTES_MOST   64u /* of a section or segment, looked through for a build-id */
/* A file may say that a table is as long as itself, and a gigabyte of nothing is soon made. */
#define DYNAMIC_MOST  (1u << 14)
#define CHAIN_LONGEST (1u << 18)

/* --- bytes and numbers --- */

static bool read_at(const struct launcher_elf *elf, uint64_t offset, void *buffer, size_t size)
{
    if (offset > elf->size || size > elf->size - offset)
        return false;
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(elf->file, (char *)buffer + done, size - done, (off_t)(offset + done));
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static uint64_t number(const struct launcher_elf *elf, const void *bytes, size_t width)
{
    const unsigned char *byte = bytes;
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | byte[elf->big_endian ? i : width - 1 - i];
    return value;
}

static bool number_at(const struct launcher_elf *elf, uint64_t offset, size_t width,
                      uint64_t *value)
{
    unsigned char bytes[8];
    if (!read_at(elf, offset, bytes, width))
        return false;
    *value = number(elf, bytes, width);
    return true;
}

/* Of a structure that exists in both classes: its size, and one of its members. */
#define SIZE(elf, structure) ((elf)->wide ? sizeof(Elf64_##structure) : sizeof(Elf32_##structure))
#define MEMBER(elf, bytes, structure, member)                                                      \
    number(elf,                                                                                    \
           (bytes) + ((elf)->wide ? offsetof(Elf64_##structure, member)                            \
                                  : offsetof(Elf32_##structure, member)),                          \
           (elf)->wide ? sizeof(((Elf64_##structure *)NULL)->member)                               \
                       : sizeof(((Elf32_##structure *)NULL)->member))
#define WORD(elf) ((elf)->wide ? 8u : 4u)

/* A new text; NULL when none ends there. */
static char *text_at(const struct launcher_elf *elf, uint64_t offset)
{
    char text[NAME_LONGEST];
    if (offset >= elf->size)
        return NULL;
    uint64_t left = elf->size - offset;
    size_t size = left < sizeof text ? (size_t)left : sizeof text;
    if (!read_at(elf, offset, text, size) || memchr(text, '\0', size) == NULL)
        return NULL;
    return launcher_copy(text, strlen(text));
}

/* --- headers --- */

static bool open_file(struct launcher_elf *elf, const char *path)
{
    struct stat status;
    *elf = (struct launcher_elf){.file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (elf->file < 0 || fstat(elf->file, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    elf->size = (uint64_t)status.st_size;
    return true;
}

bool launcher_elf_open_header(struct launcher_elf *elf, const char *path)
{
    unsigned char bytes[sizeof(Elf64_Ehdr)] = {0};
    if (!open_file(elf, path) || !read_at(elf, 0, bytes, EI_NIDENT) ||
        memcmp(bytes, ELFMAG, SELFMAG) != 0)
        return false;
    elf->wide = bytes[EI_CLASS] == ELFCLASS64;
    elf->big_endian = bytes[EI_DATA] == ELFDATA2MSB;
    elf->is_appimage = memcmp(bytes + EI_ABIVERSION, "AI", 2) == 0;
    if ((!elf->wide && bytes[EI_CLASS] != ELFCLASS32) || !read_at(elf, 0, bytes, SIZE(elf, Ehdr)))
        return false;
    elf->machine = (unsigned)MEMBER(elf, bytes, Ehdr, e_machine);
    elf->segments_at = MEMBER(elf, bytes, Ehdr, e_phoff);
    elf->segment_size = MEMBER(elf, bytes, Ehdr, e_phentsize);
    elf->segment_count = MEMBER(elf, bytes, Ehdr, e_phnum);
    elf->sections_at = MEMBER(elf, bytes, Ehdr, e_shoff);
    elf->section_size = MEMBER(elf, bytes, Ehdr, e_shentsize);
    elf->section_count = MEMBER(elf, bytes, Ehdr, e_shnum);
    return true;
}

/* Debugging information that stands by itself has the headers of what it was taken from, and
 * nothing where they point to: such segments are of size 0. */
static bool read_segments(struct launcher_elf *elf)
{
    uint64_t all = elf->segment_count, count = 0;
    if (elf->segment_size < SIZE(elf, Phdr))
        return all == 0;
    elf->segments = launcher_resize(NULL, (size_t)all * sizeof *elf->segments);
    elf->segment_count = 0;
    for (uint64_t i = 0; i < all; i++) {
        unsigned char bytes[sizeof(Elf64_Phdr)];
        if (!read_at(elf, elf->segments_at + i * elf->segment_size, bytes, SIZE(elf, Phdr)))
            return false;
        struct launcher_elf_segment segment = {
            MEMBER(elf, bytes, Phdr, p_type), MEMBER(elf, bytes, Phdr, p_vaddr),
            MEMBER(elf, bytes, Phdr, p_offset), MEMBER(elf, bytes, Phdr, p_filesz)};
        if (segment.size > 0)
            elf->segments[count++] = segment;
    }
    elf->segment_count = count;
    return true;
}

/* Where the file has what is loaded at an address. */
static bool offset_of(const struct launcher_elf *elf, uint64_t address, uint64_t *offset)
{
    for (uint64_t i = 0; i < elf->segment_count; i++) {
        const struct launcher_elf_segment *segment = &elf->segments[i];
        if (segment->type == PT_LOAD && address >= segment->address &&
            address - segment->address < segment->size) {
            *offset = address - segment->address + segment->offset;
            return true;
        }
    }
    return false;
}

static char *name_at(const struct launcher_elf *elf, uint64_t name)
{
    uint64_t offset;
    return offset_of(elf, elf->names + name, &offset) ? text_at(elf, offset) : NULL;
}

static void take_dynamic(struct launcher_elf *elf, uint64_t tag, uint64_t value, uint64_t *own_name)
{
    switch (tag) {
    case DT_STRTAB:
        elf->names = value;
        break;
    case DT_SYMTAB:
        elf->symbols = value;
        break;
    case DT_HASH:
        elf->hash = value;
        break;
    case DT_GNU_HASH:
        elf->gnu_hash = value;
        break;
    case DT_SONAME:
        *own_name = value;
        break;
    default:
        break;
    }
}

static bool read_dynamic(struct launcher_elf *elf, const struct launcher_elf_segment *segment)
{
    uint64_t own_name = 0, tag = 1;
    if (segment->offset > elf->size || segment->size > elf->size - segment->offset)
        return false;
    for (uint64_t i = 0, at = 0; tag != DT_NULL && i < DYNAMIC_MOST; i++, at += SIZE(elf, Dyn)) {
        if (at + SIZE(elf, Dyn) > segment->size)
            break;
        unsigned char bytes[sizeof(Elf64_Dyn)];
        if (!read_at(elf, segment->offset + at, bytes, SIZE(elf, Dyn)))
            return false;
        tag = MEMBER(elf, bytes, Dyn, d_tag);
        take_dynamic(elf, tag, MEMBER(elf, bytes, Dyn, d_un), &own_name);
    }
    elf->own_name = own_name != 0 ? name_at(elf, own_name) : NULL;
    return true;
}

static bool read_parts(struct launcher_elf *elf)
{
    for (uint64_t i = 0; i < elf->segment_count; i++) {
        const struct launcher_elf_segment *segment = &elf->segments[i];
        if (segment->type == PT_INTERP && elf->interpreter == NULL) {
            elf->interpreter = text_at(elf, segment->offset);
            if (elf->interpreter == NULL)
                return false;
        }
        if (segment->type == PT_DYNAMIC && !read_dynamic(elf, segment))
            return false;
    }
    return true;
}

bool launcher_elf_open(struct launcher_elf *elf, const char *path)
{
    return launcher_elf_open_header(elf, path) && read_segments(elf) && read_parts(elf);
}

void launcher_elf_close(struct launcher_elf *elf)
{
    if (elf->file >= 0)
        close(elf->file);
    free(elf->segments);
    free(elf->own_name);
    free(elf->interpreter);
}

/* --- symbols --- */

/* Is that symbol of this name, and defined here? */
static bool symbol_is(const struct launcher_elf *elf, uint64_t symbol, const char *name)
{
    unsigned char bytes[sizeof(Elf64_Sym)];
    uint64_t table;
    if (!offset_of(elf, elf->symbols, &table) ||
        !read_at(elf, table + symbol * SIZE(elf, Sym), bytes, SIZE(elf, Sym)) ||
        MEMBER(elf, bytes, Sym, st_shndx) == SHN_UNDEF)
        return false;
    char *found = name_at(elf, MEMBER(elf, bytes, Sym, st_name));
    bool same = found != NULL && strcmp(found, name) == 0;
    free(found);
    return same;
}

static uint32_t gnu_hash_of(const char *name)
{
    uint32_t hash = 5381;
    for (; *name != '\0'; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

/* The table: bucket count, number of the first symbol, words of the bloom filter and a shift; the
 * filter; the buckets; then a hash for each symbol, odd at the end of a chain. */
static bool find_by_gnu_hash(const struct launcher_elf *elf, const char *name)
{
    uint32_t hash = gnu_hash_of(name);
    uint64_t table, buckets, first, filter, symbol, entry;
    if (!offset_of(elf, elf->gnu_hash, &table) || !number_at(elf, table, 4, &buckets) ||
        !number_at(elf, table + 4, 4, &first) || !number_at(elf, table + 8, 4, &filter) ||
        buckets == 0)
        return false;
    table += 16 + filter * WORD(elf);
    if (!number_at(elf, table + hash % buckets * 4, 4, &symbol) || symbol < first)
        return false;
    table += buckets * 4;
    for (unsigned i = 0; i < CHAIN_LONGEST; i++, symbol++) {
        if (!number_at(elf, table + (symbol - first) * 4, 4, &entry))
            return false;
        if ((entry | 1) == (hash | 1) && symbol_is(elf, symbol, name))
            return true;
        if ((entry & 1) != 0)
            return false;
    }
    return false;
}

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 0;
    for (; *name != '\0'; name++) {
        hash = (hash << 4) + (unsigned char)*name;
        hash = (hash ^ (hash >> 24 & 0xf0)) & 0xfffffff;
    }
    return hash;
}

/* The table: bucket count, chain count, the buckets, for each symbol the next one. On s390x and
 * Alpha its words are of 8 bytes; nothing of theirs is looked up here. */
static bool find_by_hash(const struct launcher_elf *elf, const char *name)
{
    uint64_t table, buckets, steps, symbol;
    if (!offset_of(elf, elf->hash, &table) || !number_at(elf, table, 4, &buckets) ||
        !number_at(elf, table + 4, 4, &steps) || buckets == 0 ||
        !number_at(elf, table + 8 + hash_of(name) % buckets * 4, 4, &symbol))
        return false;
    for (steps = steps < CHAIN_LONGEST ? steps : CHAIN_LONGEST; symbol != 0 && steps > 0; steps--) {
        if (symbol_is(elf, symbol, name))
            return true;
        if (!number_at(elf, table + 8 + (buckets + symbol) * 4, 4, &symbol))
            return false;
    }
    return false;
}

bool launcher_elf_defines(const struct launcher_elf *elf, const char *name)
{
    if (elf->names == 0 || elf->symbols == 0)
        return false;
    if (elf->gnu_hash != 0)
        return find_by_gnu_hash(elf, name);
    return elf->hash != 0 && find_by_hash(elf, name);
}

/* --- the build-id --- */

static bool take_build_id(const struct launcher_elf *elf, uint64_t at, uint64_t length,
                          char *digits)
{
    unsigned char bytes[LAUNCHER_BUILD_ID];
    if (length == 0 || length > sizeof bytes || !read_at(elf, at, bytes, (size_t)length))
        return false;
    for (uint64_t i = 0; i < length; i++)
        snprintf(digits + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

/* A note: length of its name, of its content, type; name and content, padded to four bytes, as that
 * of GNU's name always is. */
static bool find_in_notes(const struct launcher_elf *elf, uint64_t at, uint64_t size, char *digits)
{
    for (unsigned i = 0; i < NOTES_MOST && size > 12; i++) {
        uint64_t name, content, type;
        if (!number_at(elf, at, 4, &name) || !number_at(elf, at + 4, 4, &content) ||
            !number_at(elf, at + 8, 4, &type))
            return false;
        if (type == NT_GNU_BUILD_ID && name == 4)
            return take_build_id(elf, at + 16, content, digits);
        uint64_t whole = 12 + ((name + 3) & ~3ull) + ((content + 3) & ~3ull);
        if (whole >= size)
            return false;
        at += whole;
        size -= whole;
    }
    return false;
}

static bool find_in_segments(const struct launcher_elf *elf, char *digits)
{
    for (uint64_t i = 0; i < elf->segment_count; i++) {
        const struct launcher_elf_segment *segment = &elf->segments[i];
        if (segment->type == PT_NOTE && find_in_notes(elf, segment->offset, segment->size, digits))
            return true;
    }
    return false;
}

/* Of separate debugging information, whose segments are those of another file, or of size 0. */
static bool find_in_sections(const struct launcher_elf *elf, char *digits)
{
    for (uint64_t i = 0; elf->section_size >= SIZE(elf, Shdr) && i < elf->section_count; i++) {
        unsigned char bytes[sizeof(Elf64_Shdr)];
        if (!read_at(elf, elf->sections_at + i * elf->section_size, bytes, SIZE(elf, Shdr)))
            return false;
        if (MEMBER(elf, bytes, Shdr, sh_type) == SHT_NOTE &&
            find_in_notes(elf, MEMBER(elf, bytes, Shdr, sh_offset),
                          MEMBER(elf, bytes, Shdr, sh_size), digits))
            return true;
    }
    return false;
}

bool launcher_elf_build_id(const struct launcher_elf *elf,
                           char digits[static 2 * LAUNCHER_BUILD_ID + 1])
{
    return find_in_sections(elf, digits) || find_in_segments(elf, digits);
}
