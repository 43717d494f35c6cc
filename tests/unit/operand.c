/* operand.c - instructions of each layout, as the assembler writes them, and the address that each
 * would use where register n has (n + 1) * 0x10000. */
#include "system/operand.h"

#include "check.h"
#include <stdio.h>
#include <string.h>

#define R(number) (((uintptr_t)(number) + 1) * 0x10000)
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13 };

struct instruction {
    const char *text;
    unsigned char size;
    unsigned char code[MM_OPERAND_CODE];
    uintptr_t address; /* 0: none is named */
};

static const struct instruction instructions[] = {
    {"mov (%rax), %rax", 3, {0x48, 0x8b, 0x00}, R(RAX)},
    {"mov %eax, (%rsp)", 3, {0x89, 0x04, 0x24}, R(RSP)},
    {"mov 0x10(%rbx,%rcx,4), %rax", 5, {0x48, 0x8b, 0x44, 0x8b, 0x10}, R(RBX) + 4 * R(RCX) + 16},
    {"mov -8(%r13), %eax", 4, {0x41, 0x8b, 0x45, 0xf8}, R(R13) - 8},
    {"mov (%rax,%r12,8), %eax", 4, {0x42, 0x8b, 0x04, 0xe0}, R(RAX) + 8 * R(R12)},
    {"mov 0x100(,%rbp,2), %eax", 7, {0x8b, 0x04, 0x6d, 0x00, 0x01}, 0x100 + 2 * R(RBP)},
    {"mov 0x12345678, %eax", 7, {0x8b, 0x04, 0x25, 0x78, 0x56, 0x34, 0x12}, 0x12345678},
    {"mov -0x100(%rdi), %al", 6, {0x8a, 0x87, 0x00, 0xff, 0xff, 0xff}, R(RDI) - 0x100},
    {"lock incl (%rdx)", 3, {0xf0, 0xff, 0x02}, R(RDX)},
    {"call *(%rsi)", 2, {0xff, 0x16}, R(RSI)},
    {"call *%r11", 3, {0x41, 0xff, 0xd3}, R(R11)},
    {"jmp *%rax", 2, {0xff, 0xe0}, R(RAX)},
    {"movaps (%rcx), %xmm0", 3, {0x0f, 0x28, 0x01}, R(RCX)},
    {"pshufb (%rsi), %xmm0", 5, {0x66, 0x0f, 0x38, 0x00, 0x06}, R(RSI)},
    {"vmovaps (%rdx), %xmm0", 4, {0xc5, 0xf8, 0x28, 0x02}, R(RDX)},
    {"vmovaps (%r12), %xmm0", 6, {0xc4, 0xc1, 0x78, 0x28, 0x04, 0x24}, R(R12)},
    {"vmovaps (%rax,%r9), %ymm0", 6, {0xc4, 0xa1, 0x7c, 0x28, 0x04, 0x08}, R(RAX) + R(R9)},
    {"vmovaps (%rbx), %zmm0", 6, {0x62, 0xf1, 0x7c, 0x48, 0x28, 0x03}, R(RBX)},
    {"mov %rax, %rbx", 3, {0x48, 0x89, 0xc3}, 0},
    {"mov 0x10(%rip), %rax", 7, {0x48, 0x8b, 0x05, 0x10}, 0},
    {"ret", 1, {0xc3}, R(RSP)},
    {"bnd ret", 2, {0xf2, 0xc3}, R(RSP)},
    {"rep movsq", 3, {0xf3, 0x48, 0xa5}, R(RDI)},
    {"rep stosb", 2, {0xf3, 0xaa}, R(RDI)},
    {"lodsb", 1, {0xac}, R(RSI)},
    {"movaps 1(%rip), %xmm0", 7, {0x0f, 0x28, 0x05, 0x01}, 0},
    {"vmovaps 0x40(%rbx), %zmm0", 7, {0x62, 0xf1, 0x7c, 0x48, 0x28, 0x43, 0x01}, 0},
    {"vpgatherdd %ymm1, (%rax,%ymm2,4), %ymm0", 6, {0xc4, 0xe2, 0x75, 0x90, 0x04, 0x90}, 0},
    {"mov (%eax), %eax", 3, {0x67, 0x8b, 0x00}, 0},
    {"hlt", 1, {0xf4}, 0},
    {"push %rax", 1, {0x50}, 0},
    {"vzeroupper", 3, {0xc5, 0xf8, 0x77}, 0},
    {"syscall", 2, {0x0f, 0x05}, 0},
    {"jmp near", 5, {0xe9, 0x10}, 0},
    {"a displacement cut short", 4, {0x48, 0x8b, 0x80, 0x10}, 0},
    {"nothing", 0, {0}, 0},
};

int main(void)
{
    uintptr_t registers[16];
    bool returns;
    for (unsigned i = 0; i < 16; i++)
        registers[i] = R(i);
    for (size_t i = 0; i < sizeof instructions / sizeof instructions[0]; i++) {
        const struct instruction *it = &instructions[i];
        uintptr_t address = mm_operand_address(it->code, it->size, registers, &returns);
        if (address != it->address)
            fprintf(stderr, "%s:\n", it->text);
        CHECK_EQUAL(address, it->address);
        CHECK_EQUAL(returns, strstr(it->text, "ret") != NULL);
    }
    return 0;
}
