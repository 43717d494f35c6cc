/* cfi.c - see cfi.h. Keeps nothing. What is read of a module that may go at that moment can be
 * anything: no length is believed that is beyond all sense, and no reading faults. */
#include "stacks/cfi.h"

#include "stacks/loaded.h"
#include "system/peek.h"
#include <string.h>

#define ENTRY_MOST (1u << 20) /* bytes of a function's description */

/* --- numbers as the tables have them --- */

struct reader {
    struct mm_peeker *from;
    uintptr_t at, end;
    bool *failed; /* something could not be read */
};

static uint64_t read_fixed(struct reader *in, unsigned size)
{
    uint64_t value = 0;
    if (size > in->end - in->at) {
        in->at = in->end;
        return 0;
    }
    /* Tables have the machine's byte order, and that is little. */
    if (!mm_peeker_read(in->from, in->at, &value, size)) {
        *in->failed = true;
        in->end = in->at;
        return 0;
    }
    in->at += size;
    return value;
}

static uint64_t read_leb(struct reader *in, bool is_signed)
{
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte = 0x80;
    for (; in->at < in->end && (byte & 0x80); shift += 7) {
        byte = (uint8_t)read_fixed(in, 1);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
    }
    if (is_signed && shift < 64 && (byte & 0x40))
        value |= UINT64_MAX << shift;
    return value;
}

static uint64_t read_unsigned(struct reader *in)
{
    return read_leb(in, false);
}

static int64_t read_signed(struct reader *in)
{
    return (int64_t)read_leb(in, true);
}

enum { PCREL = 0x10, DATAREL = 0x30 }; /* the upper half of a pointer's encoding */

/* `relative_to` is for DATAREL. */
static uintptr_t read_pointer(struct reader *in, uint8_t encoding, uintptr_t relative_to)
{
    uintptr_t here = in->at;
    uint64_t value;
    switch (encoding & 0x0f) {
    case 0x03:
        value = read_fixed(in, 4);
        break;
    case 0x0b:
        value = (uint64_t)(int64_t)(int32_t)read_fixed(in, 4);
        break;
    default: /* absolute, or eight bytes */
        value = read_fixed(in, 8);
    }
    if ((encoding & 0x70) == PCREL)
        value += here;
    if ((encoding & 0x70) == DATAREL)
        value += relative_to;
    return value;
}

/* --- descriptions: one for each function (FDE), which refers to one in common (CIE) --- */

struct description {
    uintptr_t start, size;     /* of the function */
    struct reader common, own; /* instructions */
    uint64_t code_unit;
    int64_t data_unit;
    uint64_t return_register;
    uint8_t encoding;
    bool has_augmentation, of_signal;
};

/* The next `size` bytes; `in` goes on behind them. */
static struct reader take(struct reader *in, uint64_t size)
{
    struct reader part = *in;
    if (size > in->end - in->at)
        size = in->end - in->at;
    in->at = part.end = part.at + size;
    return part;
}

static struct reader entry_at(const struct reader *tables, uintptr_t start)
{
    struct reader in = *tables;
    in.at = start;
    in.end = start + 4;
    uint64_t size = read_fixed(&in, 4);
    *in.failed |= size > ENTRY_MOST;
    in.end = *in.failed ? in.at : in.at + size;
    return in;
}

static void read_augmentation(struct description *it, struct reader *in, const char *letters)
{
    struct reader data = take(in, read_unsigned(in));
    for (; *letters != '\0'; letters++) {
        if (*letters == 'R')
            it->encoding = (uint8_t)read_fixed(&data, 1);
        else if (*letters == 'L')
            read_fixed(&data, 1);
        else if (*letters == 'P')
            read_pointer(&data, (uint8_t)read_fixed(&data, 1), 0);
        else if (*letters == 'S')
            it->of_signal = true;
    }
}

/* At most so many letters stand for something. */
static void read_letters(struct reader *in, char letters[static 8])
{
    unsigned count = 0;
    for (char letter; (letter = (char)read_fixed(in, 1)) != '\0';) {
        if (count < 7)
            letters[count++] = letter;
    }
    letters[count] = '\0';
}

static bool read_common(struct description *it, const struct reader *tables, uintptr_t start)
{
    char letters[8];
    struct reader in = entry_at(tables, start);
    read_fixed(&in, 4);
    uint64_t version = read_fixed(&in, 1);
    read_letters(&in, letters);
    it->code_unit = read_unsigned(&in);
    it->data_unit = read_signed(&in);
    it->return_register = version == 1 ? read_fixed(&in, 1) : read_unsigned(&in);
    it->has_augmentation = letters[0] == 'z';
    if (it->has_augmentation)
        read_augmentation(it, &in, letters + 1);
    it->common = in;
    return version == 1 || version == 3;
}

static bool read_description(struct description *it, const struct reader *tables, uintptr_t start)
{
    struct reader in = entry_at(tables, start);
    uintptr_t common = in.at;
    common -= read_fixed(&in, 4);
    if (*in.failed || !read_common(it, tables, common))
        return false;
    it->start = read_pointer(&in, it->encoding, 0);
    it->size = read_pointer(&in, it->encoding & 0x0f, 0);
    if (it->has_augmentation)
        take(&in, read_unsigned(&in));
    it->own = in;
    return true;
}

/* A function and its description, relative to the table. */
static int64_t read_half(const struct reader *tables, uintptr_t pair, unsigned half)
{
    struct reader in = *tables;
    in.at = pair + 4 * half;
    in.end = in.at + 4;
    return (int32_t)read_fixed(&in, 4);
}

/* The table is a sorted one of such pairs, as linkers write it. */
static bool find_description(uintptr_t address, const struct reader *tables, uintptr_t table,
                             struct description *it)
{
    enum { SORTED = DATAREL | 0x0b };
    struct reader in = *tables;
    in.at = table;
    in.end = table + 20;
    uint32_t encodings = (uint32_t)read_fixed(&in, 4);
    if (encodings >> 24 != SORTED)
        return false;
    read_pointer(&in, encodings >> 8 & 0xff, 0);
    size_t count = read_pointer(&in, encodings >> 16 & 0xff, 0);
    int64_t wanted = (int64_t)(address - table);
    size_t below = 0; /* pairs that start at or before the address */
    while (below < count && !*in.failed) {
        size_t middle = below + (count - below) / 2;
        if (read_half(tables, in.at + 8 * middle, 0) <= wanted)
            below = middle + 1;
        else
            count = middle;
    }
    if (below == 0 || *in.failed)
        return false;
    int64_t description = read_half(tables, in.at + 8 * (below - 1), 1);
    return read_description(it, tables, table + (uintptr_t)description) &&
           address - it->start < it->size;
}

/* --- instructions --- */

#if defined __x86_64__
enum { FP_REGISTER = 6, SP_REGISTER = 7 };
#elif defined __aarch64__
enum { FP_REGISTER = 29, SP_REGISTER = 31 };
#endif

/* One row of the table that the instructions stand for. */
struct row {
    uint64_t cfa_register;
    int64_t cfa;
    bool cfa_at_fp;    /* see MM_CFI_AT_FP */
    bool fp_at_fp;     /* saved where the frame pointer points to */
    bool unknown;      /* said in a way that is not followed */
    bool is_outermost; /* there is no return address */
    int64_t fp, ra;    /* 0: not saved */
};

struct machine {
    const struct description *it;
    struct row row, initial;
    struct row remembered[8];
    unsigned depth;
};

static void set_saved(struct machine *machine, uint64_t number, int64_t offset)
{
    if (number == FP_REGISTER) {
        machine->row.fp = offset;
        machine->row.fp_at_fp = false;
    } else if (number == machine->it->return_register) {
        machine->row.ra = offset;
    }
}

static void restore(struct machine *machine, uint64_t number)
{
    if (number == FP_REGISTER)
        machine->row.fp_at_fp = machine->initial.fp_at_fp;
    set_saved(machine, number, number == FP_REGISTER ? machine->initial.fp : machine->initial.ra);
}

/* Of a register that matters: the value is lost, or found in a way that is not followed. */
static void set_lost(struct machine *machine, uint64_t number)
{
    machine->row.unknown |= number == FP_REGISTER || number == machine->it->return_register;
}

/* The two expressions that compilers use in functions that align their stack: the word at an offset
 * from the frame pointer, and the frame pointer itself. */
enum { BREG_FP = 0x70 + FP_REGISTER, DEREF = 0x06 };

static void set_cfa_expression(struct machine *machine, struct reader expression)
{
    bool of_fp = read_fixed(&expression, 1) == BREG_FP;
    machine->row.cfa = read_signed(&expression);
    bool deref = read_fixed(&expression, 1) == DEREF;
    machine->row.cfa_at_fp = of_fp && deref && expression.at == expression.end;
    machine->row.unknown |= !machine->row.cfa_at_fp;
}

static void set_expression(struct machine *machine, uint64_t number, struct reader expression)
{
    bool of_fp = read_fixed(&expression, 1) == BREG_FP;
    bool at_fp = of_fp && read_signed(&expression) == 0 && expression.at == expression.end;
    if (number == FP_REGISTER && at_fp)
        machine->row.fp_at_fp = true;
    else
        set_lost(machine, number);
}

static struct reader read_block(struct reader *in)
{
    return take(in, read_unsigned(in));
}

static void define_cfa(struct machine *machine, uint64_t number, int64_t offset)
{
    machine->row.cfa_register = number;
    machine->row.cfa = offset;
    machine->row.cfa_at_fp = false;
}

static void remember_row(struct machine *machine)
{
    if (machine->depth < sizeof machine->remembered / sizeof machine->remembered[0])
        machine->remembered[machine->depth++] = machine->row;
    else
        machine->row.unknown = true;
}

static void recall_row(struct machine *machine)
{
    if (machine->depth > 0)
        machine->row = machine->remembered[--machine->depth];
}

enum {
    SET_LOC = 0x01,
    ADVANCE_1,
    ADVANCE_2,
    ADVANCE_4,
    OFFSET_EXTENDED,
    RESTORE_EXTENDED,
    UNDEFINED,
    SAME_VALUE,
    REGISTER,
    REMEMBER_STATE,
    RESTORE_STATE,
    DEF_CFA,
    DEF_CFA_REGISTER,
    DEF_CFA_OFFSET,
    DEF_CFA_EXPRESSION,
    EXPRESSION,
    OFFSET_EXTENDED_SF,
    DEF_CFA_SF,
    DEF_CFA_OFFSET_SF,
    VAL_OFFSET,
    VAL_OFFSET_SF,
    VAL_EXPRESSION,
    NEGATE_RA_STATE = 0x2d, /* how aarch64 signs return addresses, see mm_cfi_plain_address() */
    ARGS_SIZE = 0x2e
};

/* Instructions about the frame's end. */
static bool execute_cfa(struct machine *machine, uint8_t code, struct reader *in)
{
    struct row *row = &machine->row;
    int64_t unit = machine->it->data_unit;
    uint64_t number;
    switch (code) {
    case DEF_CFA:
        number = read_unsigned(in);
        define_cfa(machine, number, (int64_t)read_unsigned(in));
        return true;
    case DEF_CFA_SF:
        number = read_unsigned(in);
        define_cfa(machine, number, read_signed(in) * unit);
        return true;
    case DEF_CFA_REGISTER:
        define_cfa(machine, read_unsigned(in), row->cfa);
        return true;
    case DEF_CFA_OFFSET:
        row->cfa = (int64_t)read_unsigned(in);
        return true;
    case DEF_CFA_OFFSET_SF:
        row->cfa = read_signed(in) * unit;
        return true;
    case DEF_CFA_EXPRESSION:
        set_cfa_expression(machine, read_block(in));
        return true;
    default:
        return false;
    }
}

/* Instructions about a register. */
static bool execute_register(struct machine *machine, uint8_t code, struct reader *in)
{
    int64_t unit = machine->it->data_unit;
    uint64_t number = code >= OFFSET_EXTENDED && code <= VAL_EXPRESSION ? read_unsigned(in) : 0;
    switch (code) {
    case OFFSET_EXTENDED:
        set_saved(machine, number, (int64_t)read_unsigned(in) * unit);
        return true;
    case OFFSET_EXTENDED_SF:
        set_saved(machine, number, read_signed(in) * unit);
        return true;
    case RESTORE_EXTENDED:
        restore(machine, number);
        return true;
    case SAME_VALUE:
        set_saved(machine, number, 0);
        return true;
    case UNDEFINED:
        machine->row.is_outermost |= number == machine->it->return_register;
        return true;
    case EXPRESSION:
        set_expression(machine, number, read_block(in));
        return true;
    case VAL_EXPRESSION:
        read_block(in);
        set_lost(machine, number);
        return true;
    case REGISTER:
    case VAL_OFFSET:
    case VAL_OFFSET_SF:
        read_unsigned(in);
        set_lost(machine, number);
        return true;
    default:
        return false;
    }
}

/* How far the instruction goes on in the code; 0 when it does something else. */
static uint64_t advance(uint8_t code, struct reader *in)
{
    if (code >> 6 == 1)
        return code & 0x3f;
    if (code >= ADVANCE_1 && code <= ADVANCE_4)
        return read_fixed(in, 1u << (code - ADVANCE_1));
    return 0;
}

static void execute_one(struct machine *machine, uint8_t code, struct reader *in)
{
    if (code >> 6 == 2)
        set_saved(machine, code & 0x3f, (int64_t)read_unsigned(in) * machine->it->data_unit);
    else if (code >> 6 == 3)
        restore(machine, code & 0x3f);
    else if (code == REMEMBER_STATE)
        remember_row(machine);
    else if (code == RESTORE_STATE)
        recall_row(machine);
    else if (code == ARGS_SIZE)
        read_unsigned(in);
    else if (code != 0 && code != NEGATE_RA_STATE && !execute_cfa(machine, code, in) &&
             !execute_register(machine, code, in))
        machine->row.unknown = true;
}

/* Up to the row that `offset` in the function is in. */
static void execute(struct machine *machine, struct reader in, uint64_t offset)
{
    uint64_t at = 0;
    while (in.at < in.end) {
        uint8_t code = (uint8_t)read_fixed(&in, 1);
        at += advance(code, &in) * machine->it->code_unit;
        if (at > offset)
            return;
        if (code >> 6 != 1 && !(code >= ADVANCE_1 && code <= ADVANCE_4))
            execute_one(machine, code, &in);
    }
}

static enum mm_cfi_kind kind_of_row(const struct row *row)
{
    if (row->unknown || row->is_outermost || row->cfa_at_fp != row->fp_at_fp)
        return MM_CFI_END;
    if (row->ra == 0)
        return row->cfa_register == SP_REGISTER && row->fp == 0 ? MM_CFI_LEAF : MM_CFI_END;
    if (row->cfa_at_fp)
        return MM_CFI_AT_FP;
    if (row->cfa_register == FP_REGISTER)
        return MM_CFI_FP;
    return row->cfa_register == SP_REGISTER ? MM_CFI_SP : MM_CFI_END;
}

/* On aarch64 a signal handler returns to code of the kernel's that says nothing of itself: since
 * Linux 5.8 it is in no table, and unwinders are to know it by its two instructions. */
static bool is_signal_return(uintptr_t address)
{
#ifdef __aarch64__
    static const uint32_t sigreturn[] = {0xd2801168 /* mov x8, #139 */, 0xd4000001 /* svc #0 */};
    uint32_t code[2];
    uintptr_t at = (address + 3) / 4 * 4; /* `address` may be one less */
    return mm_peek(code, at, sizeof code, sizeof code) != 0 &&
           memcmp(code, sigreturn, sizeof sigreturn) == 0;
#else
    (void)address;
    return false;
#endif
}

static struct mm_cfi_rule rule_of_row(const struct row *row)
{
    enum mm_cfi_kind kind = kind_of_row(row);
    /* In words, as stacks are; and no further than a function's frame may be. */
    if (kind == MM_CFI_END || row->cfa % 8 != 0 || row->fp % 8 != 0 || row->ra % 8 != 0 ||
        row->cfa != (int32_t)row->cfa || row->fp != (int32_t)row->fp || row->ra != (int32_t)row->ra)
        return (struct mm_cfi_rule){.kind = MM_CFI_END};
    return (struct mm_cfi_rule){kind, (int32_t)row->cfa, (int32_t)row->fp, (int32_t)row->ra};
}

static struct mm_cfi_rule rule_by(const struct description *it, uintptr_t address)
{
    struct machine machine = {.it = it};
    execute(&machine, it->common, 0);
    machine.initial = machine.row;
    execute(&machine, it->own, address - it->start);
    return rule_of_row(&machine.row);
}

bool mm_cfi_rule_of(uintptr_t address, const struct mm_loaded *module, bool stays,
                    struct mm_cfi_rule *rule)
{
    unsigned char window[MM_PEEK_WINDOW];
    struct mm_peeker peeker;
    bool failed = false;
    struct reader tables = {.from = &peeker, .failed = &failed};
    struct description it = {0};
    mm_peeker_start(&peeker, stays, window, sizeof window);
    if (module == NULL || module->table == 0 ||
        !find_description(address, &tables, module->table, &it))
        rule->kind = is_signal_return(address) ? MM_CFI_SIGNAL : MM_CFI_END;
    else if (it.of_signal)
        rule->kind = MM_CFI_SIGNAL;
    else
        *rule = rule_by(&it, address);
    return !failed;
}
