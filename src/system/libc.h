/* libc.h - what of libc is not in every release from 2.17 on, or not where it is today, and what
 * comes behind us in the search order: found in the modules' own tables.
 *
 * A reference by name, a weak one too, would make programs not start under a libc that lacks the
 * version; and before 2.34 dlsym() is in a library that need not be there, and allocates. */
#ifndef MM_LIBC_H
#define MM_LIBC_H

#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum mm_libc_place {
    MM_LIBC_FIRST, /* the first module in the search order, as RTLD_DEFAULT */
    MM_LIBC_NEXT,  /* the first one behind ours, as RTLD_NEXT; libc when that stands before ours */
    MM_LIBC_OWN    /* libc itself: its parts libdl and libpthread, and the dynamic linker, too */
};

/* Looks all names up for which nothing was found yet; what there is none of stays NULL. Takes no
 * lock: for the start, while no other thread unloads a module. */
void mm_libc_find_all(enum mm_libc_place place, const char *const names[], void *_Atomic found[],
                      unsigned count);
void *mm_libc_find(enum mm_libc_place place, const char *name);
/* The same for later: they take the lock under which the dynamic linker links modules in and out.
 */
void mm_libc_find_all_late(enum mm_libc_place place, const char *const names[],
                           void *_Atomic found[], unsigned count);
void *mm_libc_find_late(enum mm_libc_place place, const char *name);

/* --- what the core itself asks for; before mm_libc_start() nothing of it is there --- */

/* Looks it up, once; with no lock of ours held. Late: where other threads may load and unload
 * modules, so that it takes the dynamic linker's lock, which a thread may hold that waits for ours.
 */
void mm_libc_look_up(bool is_late);
/* Takes what was found. */
void mm_libc_start(void);

/* libc's variable, true while the calling thread is the only one; one that is never true where libc
 * has none: before 2.32, which the second tells, and in a static program. */
extern const char *mm_libc_single_threaded;
extern bool mm_libc_is_old;

/* _dl_find_object(), from 2.35 on; NULL before. Takes no lock. */
struct mm_libc_object {
    unsigned long long flags;
    void *start, *end; /* where the module is mapped */
    struct link_map *map;
    const void *eh_frame_header;
    unsigned long long unused[8];
};
extern int (*mm_libc_find_object)(void *address, struct mm_libc_object *object);

/* libc's clone(), by a name that no program has. No header has it. */
extern int __clone(int (*body)(void *), void *stack, int flags, void *argument, ...);

/* An error in English, by a function that neither allocates nor locks; NULL: not known. */
const char *mm_libc_error_text(int error);

#endif
