/* helper.h - a thread beside those of the program, for work that nobody is to wait for: libc does
 * not know it, no signal but SIGSYS comes to it, and it has descriptors of its own, none to begin
 * with. It ends with the process, and at exec().
 *
 * What it runs makes system calls by kernel.h and takes no lock, be it ours or libc's: who holds
 * one may wait for it. Its thread-local storage is a copy, and libc's idea of the thread empty. */
#ifndef MM_HELPER_H
#define MM_HELPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mm_helper {
    void (*run)(void *with);
    void *with;
    char *memory; /* its stack and thread-local storage; NULL: there is none */
    size_t size;
    _Atomic uint32_t id; /* 0: it has ended */
};

/* By a thread that has blocked all signals. False when the system refuses, or tools that follow
 * each thread by its storage are there. */
bool mm_helper_start(struct mm_helper *helper, void (*run)(void *with), void *with);
/* It may be killed by a sandbox that the program goes into meanwhile. */
bool mm_helper_has_ended(const struct mm_helper *helper);
/* Waits until it has ended. */
void mm_helper_end(struct mm_helper *helper);
/* In a fork()'s child, where it is not. */
void mm_helper_renew(struct mm_helper *helper);

#endif
