/* os.h - what the core wants of the system, each with what it expects and what it returns.
 *
 * Of the lowest layer: nothing here knows of slots. Functions that can fail say so in their
 * result, never through errno alone; none of them allocates. */
#ifndef MM_OS_H
#define MM_OS_H

#include "system/libc.h"
#include "system/lock.h"
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The calling thread, as pthread_self() tells it on x86-64: a word of its own, never 0, the same on
 * both sides of a fork(). Before glibc 2.27 pthread_self() is 0 while libpthread is not there. */
static inline pthread_t mm_os_self(void)
{
#if defined __x86_64__
    pthread_t self;
    __asm__("movq %%fs:16, %0" : "=r"(self));
    return self;
#elif defined __aarch64__
    return (pthread_t)(uintptr_t)__builtin_thread_pointer();
#else
    return pthread_self();
#endif
}

/* Where libc has no variable for it (before glibc 2.32): on x86-64 it tells each thread, in a place
 * that no such release has moved, before another can come. On aarch64 it keeps that to itself. */
static inline bool mm_os_is_told_alone(void)
{
#ifdef __x86_64__
    int has_company;
    __asm__ volatile("movl %%fs:24, %0" : "=r"(has_company));
    return has_company == 0;
#else
    return false;
#endif
}

/* Whether the calling thread is the only one; another can then come only by its own doing. Never
 * true by mistake. */
static inline bool mm_os_single_threaded(void)
{
    return *mm_libc_single_threaded || (mm_libc_is_old && mm_os_is_told_alone());
}

/* glibc's lock on its list of streams, which one thread may take several times. In a fork()'s child
 * it is made anew, whether or not glibc did so. */
void mm_os_lock_streams(void);
void mm_os_unlock_streams(void);
void mm_os_renew_streams(void);

/* A lock for what may come in any thread at any time, a signal handler among them: who holds it is
 * known, and waiting ends after a while. A handler may leave in the middle for good, so who waited
 * long enough takes it over. In a fork()'s child, threads that are not there give it up by
 * mm_hold_renew(). */
struct mm_hold {
    _Atomic pthread_t holder; /* 0: nobody */
};
bool mm_hold_try(struct mm_hold *hold);
/* After so many milliseconds it is taken from its holder; at once false when the thread itself has
 * it. */
bool mm_hold_take(struct mm_hold *hold, uint64_t milliseconds);
void mm_hold_end(struct mm_hold *hold);
void mm_hold_renew(struct mm_hold *hold);

/* An address as the processor takes it: aarch64 ignores the top byte, where allocators and programs
 * keep a tag. On x86-64 it is part of the address, unless the process asked the kernel otherwise.
 */
static inline uintptr_t mm_os_untagged(const void *pointer)
{
#ifdef __aarch64__
    return (uintptr_t)pointer & UINTPTR_MAX >> 8;
#else
    return (uintptr_t)pointer;
#endif
}

size_t mm_os_page_size(void);
/* Bytes of physical memory; 1 GiB when the system does not tell. */
size_t mm_os_physical_memory(void);
/* How much address space RLIMIT_AS leaves to this process at most; SIZE_MAX without a limit. */
size_t mm_os_address_space_limit(void);
/* The same of RLIMIT_MEMLOCK: how much a process without a privilege may lock. */
size_t mm_os_lock_limit(void);
/* And of RLIMIT_STACK. */
size_t mm_os_stack_limit(void);

/* Address space without memory, left out of core files: any access faults. NULL when refused. */
void *mm_os_reserve(size_t size);
/* Memory at once, zero on first touch, page by page. NULL when refused. */
void *mm_os_map(size_t size);
/* All ranges below: page-aligned, inside one reservation. */
bool mm_os_commit(void *start, size_t size);        /* readable, writable, zero on first touch */
bool mm_os_make_readable(void *start, size_t size); /* reads as zero; costs no memory */
bool mm_os_purge(void *start, size_t size);         /* committed memory goes back, reads as zero */
void mm_os_release(void *start, size_t size);
/* From now on what the first two give is noted, until it is released; so many of them. */
#define MM_OS_MAPS_NOTED 8192u
void mm_os_note_maps(void);
/* Calls back for each part of them. */
void mm_os_each_map(void (*each)(uintptr_t start, uintptr_t end, void *with), void *with);
/* Whether core files hold it, those that debuggers make of a running process too. */
void mm_os_set_dumped(void *start, size_t size, bool dumped);

/* Pages that nobody may touch, inside of a reservation: by markers (Linux 6.13), which split no
 * mapping and drop what is there, and refused by memory that is locked; or by protection, which
 * keeps it, and which mm_os_commit() takes away. */
bool mm_os_mark(void *start, size_t size);
bool mm_os_unmark(void *start, size_t size);
bool mm_os_protect(void *start, size_t size);
/* Mapped memory comes into the place of other in one step. */
bool mm_os_move(void *from, void *to, size_t size);
/* No huge page there. */
void mm_os_keep_small(void *start, size_t size);
/* How many mappings a process may have. */
size_t mm_os_mappings_most(void);

/* Lets other threads run, before the caller's next look at what one of them is about to do. It may
 * need a processor that this one's priority keeps from it: from some `round` on this sleeps. */
void mm_os_wait(unsigned round);
/* Whether the eight bytes at `start` can be read. */
bool mm_os_is_readable(const void *start);
/* Milliseconds of a clock that never goes back, read without entering the kernel. */
uint64_t mm_os_milliseconds(void);
/* The same, finer. */
uint64_t mm_os_nanoseconds(void);
/* Milliseconds since 1970, UTC. */
uint64_t mm_os_wall_clock(void);
/* An address above every frame of the stack that `sp` is in, as far as the thread has its own;
 * of a stack that a program switches to by itself there is no telling. */
uintptr_t mm_os_stack_top(uintptr_t sp);
/* The same of the stack that the calling thread came with, 0 when that is not known; `low`: from
 * where it stands on that stack all is readable up to the top, if that is no lower than this. Makes
 * a system call for the first thread alone. */
uintptr_t mm_os_home_stack(uintptr_t *low);
/* Of a descriptor of a thread, be it there or gone: where its stack begins; false when that is not
 * to be told. All of it up to the descriptor must be readable, and 2 KiB from there on. */
bool mm_os_stack_of(pthread_t thread, uintptr_t *low);
/* Whether words at `address`, which are `words`, begin a thread's descriptor: there it has its own
 * address, twice. Never on machines where it does not. */
bool mm_os_is_descriptor(uintptr_t address, const uintptr_t words[static 3]);
/* What libc keeps of the calling thread's ids. Before 2.25 its clone() writes -1 over both when the
 * child shares the memory, and locks that know their owner then know a wrong one. */
struct mm_ids {
    pid_t thread, process;
};
void mm_os_keep_ids(struct mm_ids *ids);
void mm_os_put_ids_back(const struct mm_ids *ids);
pid_t mm_os_process_id(void);
/* Whose the memory is: told at the start, and in a fork()'s child. A vfork()'s child, which is a
 * process of its own in its parent's memory, is a guest there: what it changes, it changes for its
 * parent. Nobody is a guest before the memory is anybody's. */
void mm_os_own_memory(void);
bool mm_os_is_guest(void);
/* Such a process has its own copy: it comes of _Fork() or a raw clone(), which nobody tells us of.
 */
bool mm_os_has_copy(void);
pid_t mm_os_thread_id(void);
/* The same, as libc keeps it: without a system call where libc is as we know it. */
pid_t mm_os_own_id(void);
/* Of a thread that there is; 0 when libc is not as we know it. */
pid_t mm_os_id_of_thread(pthread_t thread);
/* Name of a thread of this process, with a ? for each control character; "?" when it is gone. */
#define MM_THREAD_NAME 16u
void mm_os_thread_name(pid_t thread, char name[static MM_THREAD_NAME]);
/* A name as a thread is given it, in the same form. */
void mm_os_name_as_given(const char *given, char name[static MM_THREAD_NAME]);

/* No signal handler runs in the calling thread between these two; they nest. But for that of
 * SIGSYS: it is how a sandbox does in its own way what it does not allow, and blocked it would end
 * the process. */
struct mm_signals {
    sigset_t before;
};
struct mm_signals mm_os_block_signals(void);
void mm_os_restore_signals(const struct mm_signals *signals);

/* Raises SIGTRAP in the calling thread, which stops there under a debugger. */
void mm_os_trap(void);

/* Writes all of it; false, with errno, when it could not. Waits up to 10 s for the reader of what
 * was opened not to block, and not again until it reads. Raises no signal, be it a pipe that nobody
 * reads (SIGPIPE), a file at its limit (SIGXFSZ) or another group's terminal (SIGTTOU): the program
 * does not expect one from a call of free. */
bool mm_os_write(int fd, const void *text, size_t size);
/* The same as mm_os_write() of a file that waits for nothing, until a time on the clock of
 * mm_os_milliseconds(). */
bool mm_os_write_within(int fd, const void *text, size_t size, uint64_t give_up);
/* The same to the end of an open log, as a whole record or not at all: what a full disk or a limit
 * took of it is cut off again, where the path is still the file's and it may be read. Signals wait
 * where the log, `id`, is a file; SIGKILL does not, and may leave a part of the record. */
struct mm_os_file_id;
bool mm_os_append(const struct mm_os_file_id *id, int fd, const char *path, const void *text,
                  size_t size);
/* A line to the end of a file that is there, and is no link; false with errno. For every start of a
 * program: what it calls, programs do themselves, so that no seccomp filter ends them for it.
 * Raises no SIGXFSZ. */
bool mm_os_add_line(const char *path, const void *line, size_t size);
/* Maps a page of a file, by its number, whether it has one or not, as nobody else does: shared, and
 * not to be touched. /proc tells others of it, also of a fork()'s child, and of a program that
 * writes over its environment. False where it may not be. Calls what every program calls at its
 * start. */
bool mm_os_map_mark(const char *path, unsigned page);
/* One datagram to a socket's path; false with errno. Waits a second at most, raises no signal. */
struct iovec;
bool mm_os_send(const char *path, const struct iovec *parts, size_t count);
/* Until poll(2) finds one of `events`; false when the time is over, on the clock of
 * mm_os_milliseconds(), or on an error. */
bool mm_os_wait_for(int fd, short events, uint64_t give_up);
int mm_os_open_read(const char *path);
/* Opens a file to append to, made if need be, under a number that programs don't choose for
 * themselves; closed by exec. A pipe that nobody reads is refused rather than waited for. -1 with
 * errno. */
int mm_os_open_append(const char *path);
/* The same of a pipe that is there, and that somebody reads. A slow reader is waited for, as in
 * mm_os_write(). */
int mm_os_open_pipe(const char *path);
/* Bytes read, 0 at the end or on an error. */
size_t mm_os_read(int fd, void *buffer, size_t size);
/* The same from a place in the file, which stays where it is read otherwise. */
size_t mm_os_read_at(int fd, void *buffer, size_t size, uint64_t offset);
void mm_os_close(int fd);
/* A whole file in memory of its own, kept for good; NULL with errno, 0 when it is no regular file.
 * Never waits for a pipe's writer. */
const char *mm_os_read_file(const char *path, size_t *size);
bool mm_os_may_execute(const char *path);
/* What errno says, in English. */
const char *mm_os_error_text(int error);

/* The path of what the kernel started, cut to fit; "?" when the system does not tell. */
void mm_os_program_path(char *path, size_t capacity);
/* The folder that relative paths count from; empty when the system does not tell. */
void mm_os_current_folder(char *path, size_t capacity);
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
/* Runs it to the end of its output, which is cut where `output` is full. Takes no lock, allocates
 * nothing and runs no fork handler. The program's own waits and SIGCHLD handler see nothing of it.
 * False when it could not be started or did not end in time; signals must be blocked. */
bool mm_os_run(const struct mm_os_command *command, size_t *output_length);

/* What a file descriptor refers to, to recognise it later. The inode of a file that was deleted is
 * given to the next one: its time of birth tells them apart. To keep the first one open would be
 * surer, but who waits for the end of a pipe, or counts descriptors, would notice. */
struct mm_os_file_id {
    bool open, is_terminal, is_regular;
    dev_t device;
    ino_t inode;
    uint64_t born; /* of a regular file; 0: not known */
};
struct mm_os_file_id mm_os_file_id(int fd);
struct mm_os_file_id mm_os_file_id_at(const char *path);
/* A sandbox that was closed meanwhile may keep the time of birth from us. */
bool mm_os_is_same_file(const struct mm_os_file_id *a, const struct mm_os_file_id *b);

/* Past libc and whoever stands in front of it. */
_Noreturn void mm_os_exit_now(int status);

#endif
