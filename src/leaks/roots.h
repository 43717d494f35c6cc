/* roots.h - memory outside of the heap where pointers to blocks are looked for: all that can be
 * written to, and what is of no file, but for
 *
 *   what the manager mapped for itself, and the module that it is
 *   blocks, and those that are held: these are the heap
 *   libc's heaps, which forwarded blocks lie in: what is beside these there was freed
 *   the unused part of each thread's stack, and stacks of threads that are gone
 *
 * All are read by calls that survive whatever may not be there, and only pages that hold anything.
 *
 * For one thread, while the others stand; or run, and stand again when what they wrote since is
 * looked at. */
#ifndef MM_ROOTS_H
#define MM_ROOTS_H

#include "leaks/mark.h"
#include "leaks/ranges.h"
#include "leaks/stop.h"
#include "system/os.h"

/* The thread that looks: where it stands, and registers that a function leaves as they are, which
 * may hold the only pointer to a block. */
#define MM_HERE_REGISTERS 12u
struct mm_here {
    uintptr_t sp, low, home;
    uintptr_t registers[MM_HERE_REGISTERS];
};

/* Of the function that calls it, as it was called. What that saved of the registers lies right
 * below its frame. */
static inline __attribute__((always_inline)) void mm_here_take(struct mm_here *here)
{
#if defined __x86_64__
    __asm__ volatile("movq %%rbx, 0(%0)\n\tmovq %%rbp, 8(%0)\n\tmovq %%r12, 16(%0)\n\t"
                     "movq %%r13, 24(%0)\n\tmovq %%r14, 32(%0)\n\tmovq %%r15, 40(%0)"
                     :
                     : "r"(here->registers)
                     : "memory");
    here->sp = (uintptr_t)__builtin_frame_address(0) - 6 * sizeof(uintptr_t);
#elif defined __aarch64__
    __asm__ volatile("stp x19, x20, [%0]\n\tstp x21, x22, [%0, 16]\n\tstp x23, x24, [%0, 32]\n\t"
                     "stp x25, x26, [%0, 48]\n\tstp x27, x28, [%0, 64]\n\tstr x29, [%0, 80]"
                     :
                     : "r"(here->registers)
                     : "memory");
    here->sp = (uintptr_t)__builtin_frame_address(0);
#endif
    here->home = mm_os_home_stack(&here->low);
}

#define MM_ROOTS_WORDS 4096u /* copied at once; */
#define MM_ROOTS_PIECE 2048u /* bytes of them where there is no good way */
#define MM_RED_ZONE    128u  /* bytes below where a thread stands that are in use */

struct mm_roots {
    struct mm_ranges candidates, shared, excluded; /* of these two, shared with other processes */
    struct mm_ranges apart;                        /* where no pointers are written to, as of now */
    struct mm_ranges others;                       /* of files, devices and the system, no roots */
    const struct mm_ranges *stacks;                /* of threads that run; or NULL */
    uintptr_t *tagged;                             /* words of these, when they stood last, */
    size_t tagged_count;
    const void *own;
    pid_t thread; /* one that has the program's descriptors; 0: the first one has */
    const struct mm_stop *stop;
    const struct mm_here *here;
    uintptr_t *words;  /* a copy of some, */
    uint64_t *entries; /* and of what the system tells of pages */
    int pages_fd, shared_pages_fd;
    uintptr_t libc, libc_end; /* libc's own data */
    struct mm_marks *marks;
    void (*visit)(const uintptr_t *words, size_t count, uintptr_t at, void *with); /* or NULL */
    void *with;
    bool is_cut; /* not all could be read */
};

struct mm_roots_settings {
    const void *own;       /* an address in a module that is the manager's alone; NULL: none is */
    bool libc_heap_is_own; /* nobody but the manager asks libc for memory */
    /* In a copy of the process: what mm_roots_before() told in the process itself. */
    struct mm_roots_before {
        bool is_copy;
        int pages_fd; /* it tells which pages of shared memory hold anything */
        size_t maps;
    } before;
    /* Of threads that run, sorted: they are looked at when these stand. NULL: all do. */
    const struct mm_ranges *stacks;
};

/* While all stand, before the process is copied. */
struct mm_roots_before mm_roots_before(void);
/* In the copy, before anything else is mapped: whether it has all that the process has, which may
 * keep memory from its copies. */
bool mm_roots_are_all(const struct mm_roots_before *before);

/* Finds them, and what of blocks can't be read. False when the system does not tell what is mapped,
 * or memory is refused: nothing need be ended then. */
bool mm_roots_start(struct mm_roots *roots, const struct mm_roots_settings *settings,
                    const struct mm_stop *stop, const struct mm_here *here, struct mm_marks *marks);
/* Tells their words to the marks. */
void mm_roots_tell(struct mm_roots *roots);
/* Calls back for them instead, but for registers and libc's own: a copy of each row, and where it
 * lies. */
typedef void (*mm_roots_visit)(const uintptr_t *words, size_t count, uintptr_t at, void *with);
void mm_roots_each(struct mm_roots *roots, mm_roots_visit visit, void *with);
/* Where what is left over lies beside what is in use. */
bool mm_roots_is_stack(const struct mm_roots *roots, uintptr_t address);
/* Of what threads that ran do to their roots: what was written to, and is of no block; what is
 * shared, stacks and registers of all that stand now, and stacks that nobody stands on. */
void mm_roots_tell_written(struct mm_roots *roots, struct mm_range written);
void mm_roots_tell_standing(struct mm_roots *roots, const struct mm_stop *stop,
                            const struct mm_here *here);
/* Lists anew what is mapped; false when there is no telling. */
bool mm_roots_renew(struct mm_roots *roots);
/* Memory where pointers may be written to, blocks among it: what was listed last, the same without
 * where slots are, and all that there is now. */
enum mm_parts { MM_PARTS_LISTED, MM_PARTS_BUT_SLOTS, MM_PARTS_ALL };
typedef void (*mm_roots_part)(struct mm_range part, void *with);
void mm_roots_each_part(struct mm_roots *roots, enum mm_parts which, mm_roots_part part,
                        void *with);
/* Whether nothing that may hold pointers has come since to where files were, which are no part. */
bool mm_roots_hold(const struct mm_roots *roots);
/* Bytes of their stacks that all use that stand. */
size_t mm_roots_depth(const struct mm_stop *stop);
/* The same of what the kernel holds for an epoll. */
void mm_roots_tell_epolls(struct mm_roots *roots);
void mm_roots_end(struct mm_roots *roots);

#endif
