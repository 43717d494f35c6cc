/* memory_manager.h - the public interface of libmemory_manager.a.
 *
 * Requests of up to 64 KiB are served from slots: equal pieces of a batch, whose state is
 * one live bit a slot, kept away from the memory handed out. Larger ones come from the
 * system allocator and are known to a registry. Either way a free of anything but a live
 * block is told apart from a good one exactly, reported, and changes nothing.
 *
 * Every function may be called from any thread at any time, except as said at
 * mem_mngr_leave(). None may be called from a signal handler. Sizes are in bytes.
 */
#ifndef MEMORY_MANAGER_H
#define MEMORY_MANAGER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MEM_MNGR_API __attribute__((visibility("default")))
#else
#define MEM_MNGR_API
#endif

/* What was wrong with a pointer given to mem_mngr_free() or mem_mngr_realloc(). */
enum mem_mngr_misuse_kind {
    MEM_MNGR_DOUBLE_FREE,   /* it was a block once, and was freed since */
    MEM_MNGR_INTERIOR_FREE, /* it points into the manager's memory or a larger block, but not at the
                               start of what is or was a block */
    MEM_MNGR_FOREIGN_FREE,  /* it never was a block: a stack, a global, a wild address */
    /* The rest only where struct mem_mngr_config asks for it. Where such a write was made is not
     * known; the report comes when it is found. */
    MEM_MNGR_OVERFLOW,        /* bytes behind a block were written to */
    MEM_MNGR_UNDERFLOW,       /* bytes before it */
    MEM_MNGR_USE_AFTER_FREE,  /* bytes of a block that was freed */
    MEM_MNGR_MISMATCHED_FREE, /* it is freed by another family of functions than allocated it */
    MEM_MNGR_MISMATCHED_SIZE, /* a sized free names another size, or alignment */
    MEM_MNGR_BAD_QUERY,       /* the size is asked for of what is not a live block */
    /* These only by mem_mngr_leaks(), and `ptr` is one of the blocks. */
    MEM_MNGR_LEAK,          /* blocks of one stack that nothing points to any more */
    MEM_MNGR_POSSIBLE_LEAK, /* the same, if it is no pointer that has a tag in its high bits */
    MEM_MNGR_DANGLING, /* memory in use points to a block that was freed: not by this library */
    /* Only by the shim, where libmmshim_bounds.so stands before it. */
    MEM_MNGR_OVER_READ,  /* bytes behind a block are read */
    MEM_MNGR_UNDER_READ, /* bytes before it */
    MEM_MNGR_OVERLAP,    /* bytes are copied onto themselves by a function that may not */
    /* Only by the shim, where it looks for what touches blocks' own pages. */
    MEM_MNGR_BAD_ACCESS /* an instruction touched no memory of the process, which ends by that */
};

struct mem_mngr_misuse {
    enum mem_mngr_misuse_kind kind;
    void *ptr;          /* the pointer as it was passed */
    const char *report; /* the whole report, '\n' after each line; valid during the callback only */
    size_t report_size; /* its length, without the terminating NUL */
};

/* Called instead of writing the report to stderr, in the thread of the bad call, with no lock
 * held. It may call any function of this header except mem_mngr_leave(), misuse in turn, take its
 * time, and leave by longjmp() or pthread_exit(); cancellation is disabled meanwhile, and stays so
 * after a longjmp(). The report takes up to 4 KiB of the thread's stack. */
typedef void mem_mngr_misuse_fn(const struct mem_mngr_misuse *misuse, void *user);

struct mem_mngr_config {
    unsigned slots_per_batch;      /* 1 to 64, at most; 0 means 8 */
    mem_mngr_misuse_fn *on_misuse; /* NULL means: write the report to stderr */
    void *user;                    /* passed on to on_misuse */
    /* Checks, none of which is made when these are 0. They cost time with each block. */
    unsigned stacks;   /* frames kept of who allocated and freed each block, up to 32; the
                            manager's own, some eight, are among them */
    size_t quarantine; /* bytes of freed blocks that are held back: second frees and writes to these
                          are told */
    size_t guard;      /* bytes on both sides of each block, up to 4096: writes to them are told */
    int checks_mismatch; /* not 0: sizes asked of what is no block are told */
};

/* Makes the manager ready: the predefined list of 16-byte slots with its first batch of 8.
 * A call while it is ready already changes nothing. mem_mngr_alloc() and its relatives call it
 * themselves where nobody did. Returns 0, or -1 with errno ENOMEM when the system refuses the
 * memory; requests are then served by the system allocator, and checked all the same. */
MEM_MNGR_API int mem_mngr_init(void);

/* The same with other settings. Returns -1 with errno EINVAL when slots_per_batch is over 64,
 * stacks over 32 or guard over 4096.
 * The configuration is copied. */
MEM_MNGR_API int mem_mngr_init_with(const struct mem_mngr_config *config);

/* A block of at least `size` bytes, aligned to 16, its content undefined; the caller owns it
 * until mem_mngr_free(). Slot sizes are `size` rounded up to 16 (above 1 KiB to four steps a
 * doubling). Size 0 gives a unique pointer. NULL with errno ENOMEM when memory is refused or
 * `size` is over PTRDIFF_MAX. */
MEM_MNGR_API void *mem_mngr_alloc(size_t size);

/* The same for an array, all bytes zero. NULL with errno ENOMEM also when count * size
 * overflows. */
MEM_MNGR_API void *mem_mngr_calloc(size_t count, size_t size);

/* Resizes a block, in place where its slot allows it. The content is kept up to the smaller of
 * both sizes. A NULL ptr allocates; a size of 0 frees and returns NULL. On ENOMEM the old
 * block stays as it was. A ptr that is not a live block is reported and NULL returned with errno
 * EINVAL. */
MEM_MNGR_API void *mem_mngr_realloc(void *ptr, size_t size);

/* A block aligned to `alignment`, a power of two (else NULL with errno EINVAL). */
MEM_MNGR_API void *mem_mngr_aligned_alloc(size_t alignment, size_t size);

/* How many bytes of the block may be used, at least what was asked for; 0 for NULL and for
 * anything that is not a live block. */
MEM_MNGR_API size_t mem_mngr_usable_size(const void *ptr);

/* Gives a block back. NULL is fine. A pointer that is not a live block is reported with what is
 * known about it, and nothing else happens. errno is kept. */
MEM_MNGR_API void mem_mngr_free(void *ptr);

/* Looks at all blocks for writes beside them, and at freed ones that are held back for writes to
 * them, as far as the configuration asks for that. Reports what was not reported before, and
 * returns how many that are. Other threads may run meanwhile. Takes time in proportion to the heap.
 */
MEM_MNGR_API size_t mem_mngr_check(void);

/* Looks for live blocks that nothing points to: no memory that is in use holds an address in them.
 * Reports each stack that allocated such ones, where the configuration asks for stacks; returns how
 * many reports that are, without those of possible leaks. All other threads are stopped by a signal
 * of libc's own for as long as a fork() takes, and no call of theirs ends early: a copy of the
 * process is looked through, whose end no SIGCHLD tells of. A large process is looked through as it
 * runs, where the system tells what is written to meanwhile (Linux 6.7): then they are stopped for
 * milliseconds. Memory that the program has from somebody else counts as in use. 0, with a note,
 * where /proc does not tell what is mapped. */
MEM_MNGR_API size_t mem_mngr_leaks(void);

/* Writes the state to stdout: totals, then per heap its lists, batches and live bitmaps.
 * Other threads may run meanwhile; what they change then may or may not show. */
MEM_MNGR_API void mem_mngr_print_snapshot(void);

/* Gives all slots back to the system, says on stderr how many blocks were still live, and
 * returns their number; blocks that came from the system allocator stay valid for its free().
 * The state is that before mem_mngr_init(), which may follow again. No other thread may be
 * inside a function of this header, and every slot pointer is void afterwards. */
MEM_MNGR_API size_t mem_mngr_leave(void);

#ifdef __cplusplus
}
#endif

#endif
