/* operand.c - see operand.h. Nothing is kept. Nothing is said of what counts a short displacement
 * in units of its own (AVX-512), or has an index in a vector register. */
#include "system/operand.h"

#include <string.h>

/* An instruction, as far as it was read. */
struct code {
    const unsigned char *at, *end;
    bool reaches_r8_base, reaches_r8_index; /* the numbers of registers are from 8 on */
    bool is_cut, is_long;                   /* it ends too soon; its opcode has more than a byte */
    bool has_units, has_indices;            /* see above */
};

static unsigned next(struct code *code)
{
    if (code->at < code->end)
        return *code->at++;
    code->is_cut = true;
    return 0;
}

static bool is_prefix(unsigned byte)
{
    switch (byte) {
    case 0x26: /* segments */
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66: /* another size of operand */
    case 0xf0: /* lock, repeat */
    case 0xf2:
    case 0xf3:
        return true;
    default:
        return false;
    }
}

/* Which of the one-byte opcodes have a byte that names registers, a bit each: ModRM. */
static bool has_modrm(unsigned opcode)
{
    static const uint32_t rows[8] = {0x0f0f0f0f, 0x0f0f0f0f, 0,          0x00000a08,
                                     0x0000ffff, 0,          0xff0f00c3, 0xc0c00000};
    return rows[opcode / 32] >> opcode % 32 & 1;
}

/* The same of those behind 0f. */
static bool has_modrm_behind_0f(unsigned opcode)
{
    static const uint32_t rows[8] = {0xffffa00f, 0x0000ff0f, 0xffffffff, 0xff7fffff,
                                     0xffff0000, 0xfffff8f8, 0xffff00ff, 0xffffffff};
    return rows[opcode / 32] >> opcode % 32 & 1;
}

static bool is_gather(unsigned map, unsigned opcode)
{
    return map == 2 && ((opcode >= 0x90 && opcode <= 0x93) || (opcode >= 0xa0 && opcode <= 0xa3) ||
                        opcode == 0xc6 || opcode == 0xc7);
}

/* The prefixes of vector instructions hold the numbers' upper bits, inverted. */
static bool skip_vector_prefix(struct code *code, unsigned first)
{
    unsigned bits = first != 0xc5 ? next(code) : 0xe1;
    code->reaches_r8_base = !(bits & 0x20);
    code->reaches_r8_index = !(bits & 0x40);
    code->has_units = first == 0x62;
    for (unsigned more = first == 0x62 ? 2 : 1; more > 0; more--)
        next(code);
    unsigned opcode = next(code);
    code->has_indices = is_gather(bits & 7, opcode);
    return first == 0x62 || opcode != 0x77; /* vzeroupper */
}

/* Up to the ModRM byte. False: it has none. */
static bool find_modrm(struct code *code, unsigned *opcode)
{
    do {
        *opcode = next(code);
    } while (is_prefix(*opcode));
    code->is_long = *opcode == 0xc4 || *opcode == 0xc5 || *opcode == 0x62;
    if (code->is_long)
        return skip_vector_prefix(code, *opcode);
    if (*opcode >> 4 == 4) { /* REX */
        code->reaches_r8_base = *opcode & 1;
        code->reaches_r8_index = *opcode & 2;
        *opcode = next(code);
    }
    if (*opcode != 0x0f)
        return has_modrm(*opcode);
    code->is_long = true;
    *opcode = next(code);
    if (*opcode != 0x38 && *opcode != 0x3a)
        return has_modrm_behind_0f(*opcode);
    next(code);
    return true;
}

static uintptr_t displacement(struct code *code, unsigned bytes)
{
    int8_t one = 0;
    int32_t four = 0;
    if ((size_t)(code->end - code->at) < bytes)
        code->is_cut = true;
    else if (bytes == 1)
        memcpy(&one, code->at, sizeof one);
    else if (bytes == 4)
        memcpy(&four, code->at, sizeof four);
    return (uintptr_t)(intptr_t)one + (uintptr_t)(intptr_t)four;
}

/* Behind a ModRM byte that names memory: what it is based on may be spelled out in one more byte.
 */
static uintptr_t address_by(struct code *code, unsigned modrm, const uintptr_t registers[16])
{
    unsigned mod = modrm >> 6, base = modrm & 7;
    uintptr_t address = 0;
    if (base == 4) {
        unsigned sib = next(code), index = (sib >> 3 & 7) + 8u * code->reaches_r8_index;
        base = sib & 7;
        if (index != 4)
            address = registers[index] << (sib >> 6);
    } else if (base == 5 && mod == 0) {
        return 0; /* beside the instruction, so it is there */
    }
    if (base == 5 && mod == 0)
        return address + displacement(code, 4);
    address += registers[base + 8u * code->reaches_r8_base];
    return address + displacement(code, mod == 0 ? 0 : mod == 1 ? 1 : 4);
}

static uintptr_t address_of_modrm(struct code *code, unsigned opcode, const uintptr_t registers[16])
{
    unsigned modrm = next(code), mod = modrm >> 6, what = modrm >> 3 & 7;
    bool jumps = opcode == 0xff && (what == 2 || what == 4); /* or calls */
    uintptr_t address = 0;
    if (code->has_indices || (code->has_units && mod == 1))
        return 0;
    if (mod != 3)
        address = address_by(code, modrm, registers);
    else if (jumps)
        address = registers[(modrm & 7) + 8u * code->reaches_r8_base];
    return code->is_cut ? 0 : address;
}

enum { RSP = 4, RSI = 6, RDI = 7 };

/* Of opcodes of one byte that name none. */
static uintptr_t implied_address(unsigned opcode, const uintptr_t registers[16], bool *returns)
{
    switch (opcode & 0xfe) {
    case 0xc2:
        *returns = true;
        return registers[RSP];
    case 0x6e: /* outs */
    case 0xac: /* lods */
        return registers[RSI];
    case 0x6c: /* ins */
    case 0xaa: /* stos */
    case 0xae: /* scas */
        return registers[RDI];
    case 0xa4: /* movs */
    case 0xa6: /* cmps */
        return mm_address_is_wild(registers[RSI]) ? registers[RSI] : registers[RDI];
    default:
        return 0;
    }
}

uintptr_t mm_operand_address(const unsigned char bytes[MM_OPERAND_CODE], size_t size,
                             const uintptr_t registers[16], bool *returns)
{
    struct code code = {.at = bytes, .end = bytes + size};
    unsigned opcode;
    *returns = false;
    if (find_modrm(&code, &opcode))
        return address_of_modrm(&code, opcode, registers);
    return code.is_cut || code.is_long ? 0 : implied_address(opcode, registers, returns);
}
