/* operand.h - which address an instruction of x86-64 was about to use: of one that no memory can
 * have the kernel tells that there was a fault, and not where. By the layout of instructions in
 * AMD's manual, volume 3, "Instruction Encoding". Reads nothing but what it is given. */
#ifndef MM_OPERAND_H
#define MM_OPERAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MM_OPERAND_CODE 15u /* the longest instruction */

/* By an instruction's number: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15; and what follows
 * the instruction's begin, `size` bytes. Of an instruction with an operand in memory, that one's
 * address, without a segment's base; of a jump to what a register has, that; of one that copies or
 * compares, which has two, the one that is wild; of a return where what it goes to lies, and
 * *returns. Of others, and where the code is cut short, 0. */
uintptr_t mm_operand_address(const unsigned char code[MM_OPERAND_CODE], size_t size,
                             const uintptr_t registers[16], bool *returns);

#define MM_ADDRESS_HIGHEST                                                                         \
    47u /* bit of an address of the process; those above are its, in a sign */

/* No memory can have it. */
static inline bool mm_address_is_wild(uintptr_t address)
{
    intptr_t above = (intptr_t)address >> MM_ADDRESS_HIGHEST;
    return above != 0 && above != -1;
}

#endif
