"""elf_file.py OUT 32|64 little|big MACHINE BUILD_ID - writes a program as another machine might have it: with a
dynamic linker, a dynamic table, a build-id and one function, far_away, at 0x1000 to 0x1100."""

import struct
import sys

out, bits, order, machine, build_id = sys.argv[1:]
wide = bits == "64"
mark = "<" if order == "little" else ">"


def pack(layout, *values):
    """In the file's byte order; a W is a word of the class."""
    return struct.pack(mark + layout.replace("W", "Q" if wide else "I"), *values)


def segment(kind, offset, size):
    if wide:
        return pack("IIWWWWWW", kind, 5, offset, offset, offset, size, size, 4)
    return pack("IIIIIIII", kind, offset, offset, offset, size, size, 5, 4)


def section(name, kind, offset, size, link=0, info=0, entry=0, flags=0, address=0):
    return pack("IIWWWWIIWW", name, kind, flags, address, offset, size, link, info, 4, entry)


def symbol(name, value, size, info, index):
    if wide:
        return pack("IBBHQQ", name, info, 0, index, value, size)
    return pack("IIIBBH", name, value, size, info, 0, index)


header_size, segment_size = (64, 56) if wide else (52, 32)
note = pack("III", 4, len(build_id) // 2, 3) + b"GNU\0" + bytes.fromhex(build_id)
interpreter = b"/lib/ld.so.1\0"
names = b"\0.text\0.note\0.symtab\0.strtab\0far_away\0"
symbols = symbol(0, 0, 0, 0, 0) + symbol(names.index(b"far_away"), 0x1000, 0x100, 0x12, 1)
dynamic = pack("WW", 21, 0) + pack("WW", 0, 0)
parts, at = {}, header_size + 4 * segment_size
for key, data in (("note", note), ("interpreter", interpreter), ("dynamic", dynamic), ("names", names),
                  ("symbols", symbols)):
    at = (at + 7) & ~7
    parts[key] = (at, data)
    at += len(data)
text_at, sections_at = 0x1000, 0x1100


def place(key):
    return parts[key][0], len(parts[key][1])


ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "little" else 2, 1]) + bytes(9)
header = ident + pack("HHIWWWIHHHHHH", 3, int(machine), 1, 0x1000, header_size, sections_at, 0, header_size,
                      segment_size, 4, len(section(0, 0, 0, 0)), 5, 4)
image = bytearray(sections_at)
image[: len(header)] = header
table = (segment(1, 0, sections_at) + segment(3, *place("interpreter")) + segment(4, *place("note"))
         + segment(2, *place("dynamic")))
image[header_size : header_size + len(table)] = table
for offset, data in parts.values():
    image[offset : offset + len(data)] = data
image += section(0, 0, 0, 0)
image += section(names.index(b".text"), 1, text_at, 0x100, flags=6, address=text_at)
image += section(names.index(b".note"), 7, *place("note"), flags=2, address=place("note")[0])
image += section(names.index(b".symtab"), 2, *place("symbols"), link=4, info=1, entry=24 if wide else 16)
image += section(names.index(b".strtab"), 3, *place("names"))
with open(out, "wb") as file:
    file.write(image)
