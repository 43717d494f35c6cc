/* elf.h - an ELF file of any class and byte order, read piece by piece.
 *
 * No offset or size that the file names is believed: each read is checked against the file's end,
 * and loops end with the tables that they walk. A file that lies makes a function fail or find
 * nothing. Files are never mapped, since one that shrinks meanwhile would end the process. */
#ifndef LAUNCHER_ELF_H
#define LAUNCHER_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAUNCHER_BUILD_ID 64u /* bytes, at most */

struct launcher_elf_segment {
    uint64_t type, address, offset, size;
};

struct launcher_elf {
    int file;
    uint64_t size; /* of the file */
    bool wide;     /* 64 bits */
    bool big_endian;
    bool is_appimage;
    unsigned machine; /* EM_... */
    uint64_t segments_at, segment_size, segment_count;
    uint64_t sections_at, section_size, section_count;
    struct launcher_elf_segment *segments;   /* those that hold something in the file */
    uint64_t names, symbols, hash, gnu_hash; /* addresses; 0: none */
    char *own_name;                          /* DT_SONAME; NULL: none */
    char *interpreter;                       /* NULL: none */
};

/* Header only: class, order and machine. False when it is no ELF file. */
bool launcher_elf_open_header(struct launcher_elf *elf, const char *path);
/* All of the above; false also when what it names does not lie in the file. Either way it is to be
 * closed, whatever came of it. */
bool launcher_elf_open(struct launcher_elf *elf, const char *path);
void launcher_elf_close(struct launcher_elf *elf);

/* Looked up as the dynamic linker does: does the file define this name for others? */
bool launcher_elf_defines(const struct launcher_elf *elf, const char *name);

/* In hexadecimal digits. */
bool launcher_elf_build_id(const struct launcher_elf *elf,
                           char digits[static 2 * LAUNCHER_BUILD_ID + 1]);

#endif
