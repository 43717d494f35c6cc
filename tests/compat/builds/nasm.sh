#!/bin/bash
# nasm: twenty thousand lines with macros assembled.
# packages: nasm
. "${0%/*}/../compare.sh"
need nasm

work() {
    {
        printf '%%macro step 2\nlocal_%%1: mov rax, %%2\n add rax, [rel local_%%1]\n%%endmacro\nsection .text\nglobal start\nstart:\n'
        seq 5000 | sed 's/.*/step &, & * 3 + 1/'
        printf '%%assign i 0\n%%rep 3000\n dq i * i\n%%assign i i + 1\n%%endrep\n'
    } >work.asm
    nasm -f elf64 -Ox -l work.lst work.asm
    nasm -f bin -o work.bin work.asm || true
}
compare work
