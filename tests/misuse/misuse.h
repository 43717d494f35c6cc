/* misuse.h - what the programs of this folder share: hiding pointers from the compiler, telling
 * the runner (expect.sh) what varies, marking a bad call on stderr, and a thread to misuse in.
 *
 * Functions that make a bad call have external linkage, so that the program, linked with
 * -rdynamic, exports the names that the expected reports hold.
 */
#ifndef MISUSE_H
#define MISUSE_H

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    STATUS_WENT_ON = 23,      /* how a program ends that ran to its end */
    STATUS_CHECK_FAILED = 99, /* ... and one that found something wrong itself */
    SMALL = 48,               /* a block with slots larger than 16 bytes */
    LARGE = 100000,           /* a block that is forwarded */
    ERRNO_KEPT = 4095         /* no call sets errno to this */
};

/* Ends the program where a condition does not hold. */
#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))
void check_failed(const char *file, int line, const char *condition) __attribute__((noreturn));

/* Returns ptr; the compiler no longer knows what it points to, and so neither warns about what
 * is done wrongly on purpose nor leaves it out. */
static inline void *hidden(void *ptr)
{
    uintptr_t address = (uintptr_t)ptr;

    __asm__ volatile("" : "+r"(address));
    return (void *)address;
}

/* Tells the runner a value of this run: it stands as `name` in the expected output. */
void publish_pointer(const char *name, void *ptr);
void publish_number(const char *name, size_t number);

/* Writes "-- text" to stderr, past stdio. */
void mark(const char *text);

/* Makes a bad call. What it reports stands between the two marks in the output; errno must
 * survive. It is no function, for its user is to be the caller that the report names. */
#define BAD_CALL(call)                                                                             \
    do {                                                                                           \
        mark("bad call");                                                                          \
        errno = ERRNO_KEPT;                                                                        \
        call;                                                                                      \
        CHECK(errno == ERRNO_KEPT);                                                                \
        mark("went on");                                                                           \
    } while (0)

/* The same at calls that are made again and again. */
#define BAD_CALL_UNMARKED(call)                                                                    \
    do {                                                                                           \
        errno = ERRNO_KEPT;                                                                        \
        call;                                                                                      \
        CHECK(errno == ERRNO_KEPT);                                                                \
    } while (0)

/* A thread that exists, named and its id published, before it is told to do its work: making a
 * thread allocates, and could hand out the very slot that a case has freed. */
struct worker {
    pthread_t thread;
    sem_t ready;
    sem_t go;
    const char *name;
    void (*work)(void *arg);
    void *arg;
    pid_t tid;
};

void worker_start(struct worker *worker, const char *name, void (*work)(void *arg), void *arg);
void worker_finish(struct worker *worker);
void *worker_main(void *worker);

/* A point where two threads meet and leave in the same instant, as far as that can be had. */
struct meeting {
    int arrived;
};

void meet(struct meeting *meeting, int round);

/* A program is a table of cases; its first argument says which one to run. */
struct misuse_case {
    const char *name;
    void (*run)(void);
};

#define MISUSE_CASE(function)                                                                      \
    {                                                                                              \
#function, function                                                                        \
    }

/* Runs the case of that name and returns the status to end with. */
int run_case(const struct misuse_case *cases, size_t count, int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
