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
#include <sys/types.h>

/* A mutex that the thread inside fork() passes through: it holds every lock of ours from its
 * prepare handler to its parent or child handler, and handlers of others allocate in between. */
struct mm_lock {
    pthread_mutex_t mutex;
};
#define MM_LOCK_INIT                                                                               \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER                                                                  \
    }

void mm_lock(struct mm_lock *lock);
void mm_unlock(struct mm_lock *lock);
/* Held by any number of threads at the same time, or by one alone, who does not wait for ever while
 * others come and go. Not to be taken twice by one thread. */
struct mm_shared_lock {
    pthread_rwlock_t lock;
};
#define MM_SHARED_LOCK_INIT                                                                        \
    {                                                                                              \
        PTHREAD_RWLOCK_INITIALIZER                                                                 \
    }

void mm_lock_shared(struct mm_shared_lock *lock);
void mm_lock_alone(struct mm_shared_lock *lock);
bool mm_try_lock_alone(struct mm_shared_lock *lock);
void mm_unlock_shared(struct mm_shared_lock *lock);
/* In a fork()'s child, for a lock that the parent held alone: unlocking goes by the thread id,
 * which is another one there. */
void mm_lock_renew(struct mm_shared_lock *lock);

/* Between these two calls none of the above does anything in the calling thread. */
void mm_locks_pass(void);
void mm_locks_pass_end(void);

size_t mm_os_page_size(void);
/* Bytes of physical memory; 1 GiB when the system does not tell. */
size_t mm_os_physical_memory(void);
/* How much address space RLIMIT_AS leaves to this process at most; SIZE_MAX without a limit. */
size_t mm_os_address_space_limit(void);

/* Address space without memory: any access faults. NULL when refused. */
void *mm_os_reserve(size_t size);
/* Memory at once, zero on first touch. NULL when refused. */
void *mm_os_map(size_t size);
/* All ranges below: page-aligned, inside one reservation. */
bool mm_os_commit(void *start, size_t size);        /* readable, writable, zero on first touch */
bool mm_os_make_readable(void *start, size_t size); /* reads as zero; costs no memory */
bool mm_os_purge(void *start, size_t size);         /* committed memory goes back, reads as zero */
void mm_os_release(void *start, size_t size);

/* Lets other threads run. */
void mm_os_yield(void);
/* Milliseconds of a clock that never goes back, read without entering the kernel. */
uint64_t mm_os_milliseconds(void);
pid_t mm_os_process_id(void);
pid_t mm_os_thread_id(void);
/* Name of a thread of this process, with a ? for each control character; "?" when it is gone. */
#define MM_THREAD_NAME 16u
void mm_os_thread_name(pid_t thread, char name[static MM_THREAD_NAME]);

/* No signal handler runs in the calling thread between these two; they nest. */
struct mm_signals {
    sigset_t before;
};
struct mm_signals mm_os_block_signals(void);
void mm_os_restore_signals(const struct mm_signals *signals);

/* Writes all of it; gives up on an error. A pipe that nobody reads raises no SIGPIPE: the program
 * does not expect one from a call of free. */
void mm_os_write(int fd, const void *text, size_t size);
int mm_os_open_read(const char *path);
/* Bytes read, 0 at the end or on an error. */
size_t mm_os_read(int fd, void *buffer, size_t size);
void mm_os_close(int fd);

/* The path of the running program, cut to fit; "?" when the system does not tell. */
void mm_os_program_path(char *path, size_t capacity);

/* What a file descriptor refers to, to recognise it later. */
struct mm_os_file_id {
    bool open;
    dev_t device;
    ino_t inode;
};
struct mm_os_file_id mm_os_file_id(int fd);

_Noreturn void mm_os_exit_now(int status);

#endif
