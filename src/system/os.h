/* os.h - every system call of the core, each with what it expects and what it returns.
 *
 * The lowest floor: nothing here knows of slots. Functions that can fail say so in their
 * result, never through errno alone; none of them allocates. */
#ifndef MM_OS_H
#define MM_OS_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif
#include <sys/types.h>

/* Whether the calling thread is the only one; another can then come only by its own doing. Never
 * true by mistake. */
static inline bool mm_os_single_threaded(void)
{
#if __has_include(<sys/single_threaded.h>)
    return __libc_single_threaded;
#else
    return false;
#endif
}

/* A lock that the thread inside fork() passes through: it holds every lock of ours from its prepare
 * handler to its parent or child handler, and handlers of others allocate in between.
 *
 * After Ulrich Drepper's third mutex ("Futexes Are Tricky", 2011), and no pthread_mutex_t: a
 * preloaded library that counts those may allocate in its pthread_mutex_lock(). */
struct mm_lock {
    _Atomic uint32_t state; /* 0: free; else the holder's name, and whether somebody may wait */
};

void mm_lock(struct mm_lock *lock);
void mm_unlock(struct mm_lock *lock);
/* Whether the calling thread holds it; once in many millions of pairs of threads also when the
 * other one does. */
bool mm_lock_is_own(const struct mm_lock *lock);
/* False, and not locked, when the calling thread holds it: a signal handler came in between. */
bool mm_lock_unless_held(struct mm_lock *lock);
/* Between these two calls none of the above does anything in the calling thread. */
void mm_locks_pass(void);
void mm_locks_pass_end(void);
bool mm_locks_are_passed(void);

/* glibc's lock on its list of streams, which one thread may take several times. In a fork()'s child
 * it is made anew, whether or not glibc did so. */
void mm_os_lock_streams(void);
void mm_os_unlock_streams(void);
void mm_os_renew_streams(void);

/* A lock for what may come in any thread at any time, a signal handler among them: who holds it is
 * known, and waiting ends after a while. In a fork()'s child, threads that are not there give it
 * up by mm_turn_renew(). */
struct mm_turn {
    _Atomic pthread_t holder; /* 0: nobody */
};
bool mm_turn_try(struct mm_turn *turn);
/* False after so many milliseconds, and at once when the thread itself has it. */
bool mm_turn_take(struct mm_turn *turn, uint64_t milliseconds);
void mm_turn_end(struct mm_turn *turn);
void mm_turn_renew(struct mm_turn *turn);

size_t mm_os_page_size(void);
/* Bytes of physical memory; 1 GiB when the system does not tell. */
size_t mm_os_physical_memory(void);
/* How much address space RLIMIT_AS leaves to this process at most; SIZE_MAX without a limit. */
size_t mm_os_address_space_limit(void);
/* The same of RLIMIT_MEMLOCK: how much a process without a privilege may lock. */
size_t mm_os_lock_limit(void);

/* Address space without memory, left out of core files: any access faults. NULL when refused. */
void *mm_os_reserve(size_t size);
/* Memory at once, zero on first touch, page by page. NULL when refused. */
void *mm_os_map(size_t size);
/* All ranges below: page-aligned, inside one reservation. */
bool mm_os_commit(void *start, size_t size);        /* readable, writable, zero on first touch */
bool mm_os_make_readable(void *start, size_t size); /* reads as zero; costs no memory */
bool mm_os_purge(void *start, size_t size);         /* committed memory goes back, reads as zero */
void mm_os_release(void *start, size_t size);
/* Whether core files hold it, those that debuggers make of a running process too. */
void mm_os_set_dumped(void *start, size_t size, bool dumped);

/* Lets other threads run, before the caller's next look at what one of them is about to do. It may
 * need a processor that this one's priority keeps from it: from some `round` on this sleeps. */
void mm_os_wait(unsigned round);
/* Whether the eight bytes at `start` can be read. */
bool mm_os_is_readable(const void *start);
/* Milliseconds of a clock that never goes back, read without entering the kernel. */
uint64_t mm_os_milliseconds(void);
/* Milliseconds since 1970, UTC. */
uint64_t mm_os_wall_clock(void);
/* An address above every frame of the stack that `sp` is in, as far as the thread has its own;
 * of a stack that a program switches to by itself there is no telling. */
uintptr_t mm_os_stack_top(uintptr_t sp);
/* The same of the stack that the calling thread came with, which it must be on; `low`: no other
 * stack is between there and the top. */
uintptr_t mm_os_home_stack(uintptr_t *low);
pid_t mm_os_process_id(void);
/* Whose the memory is: told at the start, and in a fork()'s child. A vfork()'s child, which is a
 * process of its own in its parent's memory, is a guest there: what it changes, it changes for its
 * parent. Nobody is a guest before the memory is anybody's. */
void mm_os_own_memory(void);
bool mm_os_is_guest(void);
pid_t mm_os_thread_id(void);
/* Name of a thread of this process, with a ? for each control character; "?" when it is gone. */
#define MM_THREAD_NAME 16u
void mm_os_thread_name(pid_t thread, char name[static MM_THREAD_NAME]);

/* No signal handler runs in the calling thread between these two; they nest. But for that of
 * SIGSYS: it is how a sandbox does in its own way what it does not allow, and blocked it would end
 * the process. */
struct mm_signals {
    sigset_t before;
};
struct mm_signals mm_os_block_signals(void);
void mm_os_restore_signals(const struct mm_signals *signals);

/* Writes all of it; false, with errno, when it could not. Waits up to 10 s for the reader of what
 * was opened not to block. Raises no signal, be it a pipe that nobody reads (SIGPIPE), a file at
 * its limit (SIGXFSZ) or another group's terminal (SIGTTOU): the program does not expect one from a
 * call of free. */
bool mm_os_write(int fd, const void *text, size_t size);
int mm_os_open_read(const char *path);
/* Opens a file to append to, made if need be, under a number that programs don't choose for
 * themselves; closed by exec. A pipe that nobody reads is refused rather than waited for. -1 with
 * errno. */
int mm_os_open_append(const char *path);
/* Bytes read, 0 at the end or on an error. */
size_t mm_os_read(int fd, void *buffer, size_t size);
void mm_os_close(int fd);
/* A whole file in memory of its own, kept for good; NULL with errno, 0 when it is no regular file.
 * Never waits for a pipe's writer. */
const char *mm_os_read_file(const char *path, size_t *size);
bool mm_os_may_execute(const char *path);
/* What errno says, in English. */
const char *mm_os_error_text(int error);

/* The path of the running program, cut to fit; "?" when the system does not tell. */
void mm_os_program_path(char *path, size_t capacity);
/* The machine's name; "?" when the system does not tell. */
#define MM_HOST_NAME 65u
void mm_os_host_name(char name[static MM_HOST_NAME]);
/* Whether the process has rights that who started it does not have: its environment is not to be
 * trusted then. */
bool mm_os_is_privileged(void);

/* A program to run, and a place for what it writes. Its stdin is empty, its stderr goes nowhere. */
struct mm_os_command {
    const char *path;
    const char *const *arguments;   /* with the name in front, NULL at the end */
    const char *const *environment; /* NULL at the end */
    void *stack;                    /* 16 KiB, for its start */
    size_t stack_size;
    char *output;
    size_t output_size;
    uint64_t give_up; /* on the clock of mm_os_milliseconds(); it is killed soon after */
};
/* Runs it to its end; what it writes is cut where `output` is full. Takes no lock, allocates
 * nothing and runs no fork handler. The program's own waits and SIGCHLD handler see nothing of it,
 * but for a subreaper's and process 1's handler. False when it could not be started or did not end
 * in time; signals must be blocked. */
bool mm_os_run(const struct mm_os_command *command, size_t *output_length);

/* What a file descriptor refers to, to recognise it later. The inode of a file that was deleted is
 * given to the next one: its time of birth tells them apart. To keep the first one open would be
 * surer, but who waits for the end of a pipe, or counts descriptors, would notice. */
struct mm_os_file_id {
    bool open;
    dev_t device;
    ino_t inode;
    uint64_t born; /* of a regular file; 0: not known */
};
struct mm_os_file_id mm_os_file_id(int fd);

/* Past libc and whoever stands in front of it. */
_Noreturn void mm_os_exit_now(int status);

#endif
