/* finding.h - all that is known about one misuse, ready to be written. */
#ifndef MM_FINDING_H
#define MM_FINDING_H

#include "findings/kind.h"
#include "stacks/module.h"
#include "stacks/symtab.h"
#include "system/fault.h"
#include "system/os.h"
#include <stdbool.h>

/* With the frames of inlined functions, which share their address with the one they are inlined in.
 */
#define MM_TRACE_MAX   48u
#define MM_TRACES_MOST 5u /* of a finding */

struct mm_frame {
    const void *address; /* inside the call */
    struct mm_place place;
    /* From debug information, where that is wanted and there. */
    const char *function, *file;  /* NULL: not known */
    uint64_t line, function_line; /* where the function begins; 0: not known */
    bool is_generated;            /* the function, by the compiler */
};

/* A thread's call stack, innermost first. */
struct mm_trace {
    pid_t thread;
    char thread_name[MM_THREAD_NAME];
    const char *call; /* what was called there; NULL: not known */
    unsigned count;   /* 0: nobody knows any more */
    /* See own.h: the first frame of the program's own code, `count` if there is none; and how many
     * there are before those of the start, of process or thread. */
    unsigned own, shown;
    struct mm_frame frames[MM_TRACE_MAX];
};

/* Blocks of one stack that are not reached, and how that is; or only that they become more. */
struct mm_leak {
    enum mm_leak_how {
        MM_LEAK_DIRECT,
        MM_LEAK_INDIRECT,
        MM_LEAK_TAGGED,
        MM_LEAK_UNSURE,
        MM_LEAK_GROWN
    } how;
    uint64_t blocks, bytes;
    uint64_t milliseconds; /* since the look before; 0: there was none */
    uint64_t grown_bytes;  /* of MM_LEAK_GROWN: more than then */
    uint64_t known_blocks; /* of the others: how many were found then already */
    uint32_t stack;        /* of who allocated them; 0: that of the one described */
    bool is_apart;         /* told whatever was told before, and counted nowhere */
};

/* Pointers to freed blocks of one stack, that lie in blocks of another, or in none. */
struct mm_dangling {
    uintptr_t at; /* where one lies */
    uint64_t pointers;
    bool is_to_start; /* of the block */
    bool is_apart;    /* as mm_leak's */
};

/* An access to what is closed, of a block or beside one. */
struct mm_touch {
    enum mm_fault_access access;
    uintptr_t at;        /* 0, of no block: null, or an address that the system does not tell */
    uintptr_t block;     /* 0: of none */
    size_t asked;        /* by the block */
    bool is_untold;      /* `at` is what the instruction named, or 0 */
    const void *context; /* of the handler: the instruction's registers */
};

/* Where on the calling thread's stack a pointer points to. */
struct mm_local {
    const void *frame; /* the address of the frame that it lies in; NULL: not known */
    intptr_t offset;   /* from that frame's end on */
};

struct mm_damage;
struct mm_access;
struct mm_finding {
    enum mem_mngr_misuse_kind kind;
    const void *ptr;
    const char *program;
    char description[1024]; /* of the memory that it points to: parts, separated by "; " */
    struct mm_local local;  /* of a pointer to the stack */
    struct mm_trace bad;    /* the bad call */
    bool at_exit;           /* found there */
    /* The block's history, as far as it is kept. */
    bool has_freed, has_allocated, has_before;
    struct mm_trace freed, allocated;
    struct mm_trace freed_before,
        allocated_before;               /* of the memory's last life; for a second free */
    const struct mm_damage *damage;     /* NULL: none */
    const struct mm_leak *leak;         /* NULL: it is none */
    const struct mm_dangling *dangling; /* the same; `bad` is who allocated what it lies in */
    const struct mm_access *access;     /* NULL: none */
    const struct mm_touch *touch;       /* NULL: none */
    size_t asked;                       /* bytes; only with has_allocated */
    const char *advice;                 /* where to look next; NULL: none */
};

/* What the frames of a finding refer to. It is copied, because another thread may unload a module
 * while a report is put together or a tool looks up sources. Symbols of many KiB, which templates
 * make, are cut where there are many of them. */
struct mm_names {
    size_t used; /* 0 at first */
    char text[98304];
    struct mm_place_text place; /* of the last frame looked at */
    struct mm_symtab symtab;
    struct mm_frame *nameless[MM_TRACES_MOST * MM_TRACE_MAX];
    struct mm_symtab_place places[MM_TRACES_MOST * MM_TRACE_MAX];
};

/* The one that tells findings apart: of what is found late nobody knows who did it, but who
 * allocated the block. */
static inline const struct mm_trace *mm_finding_trace(const struct mm_finding *finding)
{
    bool is_late = finding->damage != NULL || finding->leak != NULL || finding->dangling != NULL;
    return is_late && finding->has_allocated ? &finding->allocated : &finding->bad;
}

/* Fills a trace's frames with what the modules tell. Those of modules that only stand in between
 * (own.h) are none. */
void mm_trace_take(struct mm_trace *trace, const void *const *frames, unsigned count,
                   const char *program, struct mm_names *names);

/* Adds names of static functions, of the modules' files. */
void mm_traces_name(struct mm_trace *const *traces, unsigned count, const char *program,
                    struct mm_names *names);

/* The totals, so far or at exit. */
struct mm_totals {
    uint64_t kinds[MM_KINDS]; /* by enum mem_mngr_misuse_kind, without suppressed ones */
    uint64_t hidden, suppressed, uncertain;
};

#endif
