/* planted.h - what the planted programs share. Each block has a size of its own, by which the
 * runner (planted.sh) knows it. Nothing of a pointer that is lost stays in a register or on the
 * stack. */
#ifndef PLANTED_H
#define PLANTED_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A block, all zero. */
void **take(size_t size);
/* Overwrites what calls left below the caller's frame, and registers. */
void wipe(void);
/* Keeps the compiler from knowing what a pointer is for. */
static inline void *hidden(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer)::"memory");
    return pointer;
}

struct planted {
    const char *name;
    void (*run)(void);
};
/* Runs the case that is named by the first argument, and wipes; the status to end with. */
int planted_main(const struct planted *cases, size_t count, int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
