/* stop.h - all other threads of the process stand still for a look: by a signal, whose frame holds
 * a thread's registers. No ptrace, no helper, no right that a process does not have.
 *
 * The signal is one that libc keeps to itself and lets no program block, handle or wait for, and
 * debuggers pass on: that by which it has all threads change their ids. Libc's own use of it goes
 * on to its handler. No thread sees EINTR: a call that the signal interrupted and that the kernel
 * does not restart is put back by the handler, as what /proc told of it before.
 *
 * One stop at a time, and each struct mm_stop of those that are used is there for good. Nothing is
 * allocated but mapped, and nothing is locked. */
#ifndef MM_STOP_H
#define MM_STOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How a thread is when all stand. */
enum mm_thread_state {
    MM_THREAD_ASKED,   /* it did not answer */
    MM_THREAD_ANSWERS, /* it is about to stand */
    MM_THREAD_STANDS,  /* in the handler */
    MM_THREAD_UNASKED, /* it blocks even this signal */
    MM_THREAD_GONE
};

struct mm_system_call {
    bool is_known;
    long number;
    uintptr_t with[6], sp, pc;
    uint64_t seen; /* milliseconds */
};

struct mm_thread {
    pid_t id;
    _Atomic int state;
    uintptr_t sp;               /* where it stands; 0: not known */
    uintptr_t low, home;        /* the stack that it came with; 0: not known */
    uintptr_t frame;            /* its registers; 0: not known */
    struct mm_system_call call; /* as it was before it was asked */
};
#define MM_THREAD_FRAME 4096u /* bytes of registers from `frame` on, at most */

struct mm_stop {
    struct mm_thread *threads; /* all but the calling one */
    _Atomic size_t count;
    size_t capacity;
    pid_t by;  /* the helper; 0: it is a thread of the program's, */
    pid_t but; /* and this one */
    bool again;
    uint64_t patience; /* milliseconds */
    size_t unsure;     /* threads whose registers are not known */
    _Atomic uint32_t answers, go;
    bool is_whole; /* all threads were listed */
};

/* False when the system does not list the threads, or refuses memory or the signal: nobody stands
 * then. */
bool mm_stop_others(struct mm_stop *stop);
/* The same by a helper (system/helper.h), which has less patience, but for the thread that waits
 * for it; 0: none does. Once more, `again`: whether a thread blocks the signal is not asked of each
 * before. */
bool mm_stop_all(struct mm_stop *stop, pid_t but, bool again);
/* All go on. */
void mm_stop_end(struct mm_stop *stop);
/* In a fork()'s child, which may have been made while threads were asked or stood. */
void mm_stop_renew(void);
/* For another handler, with what it was given: a call that was interrupted is put back, if it is
 * known, as libc's code tells it, and not restarted by the kernel; `began` on the clock of
 * mm_os_milliseconds(). */
void mm_stop_put_back(void *context, uint64_t began);
/* NULL: there is none of this id. */
const struct mm_thread *mm_stop_find(const struct mm_stop *stop, pid_t id);

#endif
