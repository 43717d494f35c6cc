/* situations.c - bad calls of every other kind, and bad frees at unusual times and places. */
#include "misuse.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char victim_global[64] = "a global";

static void *freed_block(size_t size)
{
    void *block = hidden(malloc(size));
    void *old = hidden(block);

    free(block);
    publish_pointer("PTR", old);
    return old;
}

/* ---- realloc and its relatives: reported, refused, and the block stays as it was ---- */

#define BAD_REALLOC(call)                                                                          \
    do {                                                                                           \
        void *result = "not set";                                                                  \
        mark("bad call");                                                                          \
        errno = 0;                                                                                 \
        result = call;                                                                             \
        CHECK(result == NULL && errno == EINVAL);                                                  \
        mark("went on");                                                                           \
    } while (0)

void realloc_double(void)
{
    BAD_REALLOC(realloc(freed_block(SMALL), 2 * SMALL));
}

void realloc_double_in_place(void)
{
    BAD_REALLOC(realloc(freed_block(SMALL), SMALL - 1));
}

void realloc_double_forwarded(void)
{
    BAD_REALLOC(realloc(freed_block(LARGE), 2 * LARGE));
}

/* A realloc to nothing is a free, and leaves errno alone as that does. */
void realloc_double_to_nothing(void)
{
    void *ptr = freed_block(SMALL);

    BAD_CALL(CHECK(realloc(ptr, 0) == NULL));
}

void reallocarray_double(void)
{
    BAD_REALLOC(reallocarray(freed_block(SMALL), 2, SMALL));
}

#define REALLOC_INTERIOR(size, offset, new_size)                                                   \
    do {                                                                                           \
        char *block = hidden(malloc(size));                                                        \
        memset(block, 'x', size);                                                                  \
        publish_pointer("BLOCK", block);                                                           \
        publish_number("USABLE", malloc_usable_size(block));                                       \
        publish_pointer("PTR", block + (offset));                                                  \
        BAD_REALLOC(realloc(hidden(block + (offset)), new_size));                                  \
        CHECK(block[0] == 'x' && memcmp(block, block + 1, (size)-1) == 0);                         \
        free(block);                                                                               \
    } while (0)

void realloc_interior(void)
{
    REALLOC_INTERIOR(SMALL, 16, 2 * SMALL);
}

void realloc_interior_forwarded(void)
{
    REALLOC_INTERIOR(LARGE, LARGE / 2, 2 * LARGE);
}

void realloc_foreign(void)
{
    char local[64] = "on a stack";

    publish_pointer("PTR", local);
    BAD_REALLOC(realloc(hidden(local), 2 * SMALL));
}

/* ---- the other ways to free ---- */

/* Looked up at run time: libc's headers do not, or no longer, declare them. */
static void *function_named(const char *name)
{
    void *function = dlsym(RTLD_DEFAULT, name);

    CHECK(function != NULL);
    return function;
}

void cfree_double(void)
{
    void (*release)(void *) = (void (*)(void *))(uintptr_t)function_named("cfree");
    void *ptr = freed_block(SMALL);

    BAD_CALL(release(ptr));
}

void libc_free_double(void)
{
    void (*release)(void *) = (void (*)(void *))(uintptr_t)function_named("__libc_free");
    void *ptr = freed_block(SMALL);

    BAD_CALL(release(ptr));
}

void free_sized_double(void)
{
    void (*release)(void *, size_t) =
        (void (*)(void *, size_t))(uintptr_t)function_named("free_sized");
    void *ptr = freed_block(SMALL);

    BAD_CALL(release(ptr, SMALL));
}

void free_aligned_sized_double(void)
{
    void (*release)(void *, size_t, size_t) =
        (void (*)(void *, size_t, size_t))(uintptr_t)function_named("free_aligned_sized");
    void *ptr = freed_block(SMALL);

    BAD_CALL(release(ptr, 16, SMALL));
}

/* ---- how much is reported ---- */

void nothing_wrong(void)
{
    errno = ERRNO_KEPT;
    free(NULL);
    free(hidden(malloc(SMALL)));
    free(hidden(malloc(LARGE)));
    CHECK(errno == ERRNO_KEPT);
    free(hidden(realloc(NULL, SMALL)));
}

void release_unmarked(void *ptr)
{
    BAD_CALL_UNMARKED(free(hidden(ptr)));
}

void one_call_1000_times(void)
{
    void *ptr = freed_block(SMALL);

    for (int i = 0; i < 1000; i++) {
        release_unmarked(ptr);
    }
}

void one_call_two_kinds(void)
{
    void *ptr = freed_block(SMALL);

    publish_pointer("GLOBAL", victim_global);
    for (int i = 0; i < 10; i++) {
        release_unmarked(ptr);
        release_unmarked(victim_global);
    }
}

void release_at_five_calls(void *ptr)
{
    BAD_CALL_UNMARKED(free(hidden(ptr)));
    BAD_CALL_UNMARKED(free(hidden(ptr)));
    BAD_CALL_UNMARKED(free(hidden(ptr)));
    BAD_CALL_UNMARKED(free(hidden(ptr)));
    BAD_CALL_UNMARKED(free(hidden(ptr)));
}

void five_calls(void)
{
    release_at_five_calls(freed_block(SMALL));
}

void one_call(void)
{
    void *ptr = freed_block(SMALL);

    BAD_CALL(free(ptr));
}

/* Its last word is held back by stdio until the process ends. */
void buffered_output(void)
{
    char *block = hidden(malloc(SMALL));
    void *old = hidden(block);

    free(block);
    printf("PTR=%p\n", old);
    BAD_CALL(free(old));
}

/* ---- threads ---- */

void release_twice(void *arg)
{
    void *ptr = freed_block(SMALL);

    (void)arg;
    BAD_CALL(free(ptr));
}

void in_a_named_thread(void)
{
    struct worker worker;

    worker_start(&worker, "a (name) of 15c", release_twice, NULL);
    worker_finish(&worker);
}

/* A report has lines of its own, whatever a thread is called. */
void in_a_thread_with_a_line_break(void)
{
    struct worker worker;

    worker_start(&worker, "two\nlines", release_twice, NULL);
    worker_finish(&worker);
}

static pthread_key_t key;

void key_destructor(void *ptr)
{
    BAD_CALL(free(hidden(ptr)));
}

void leave_freed_block(void *arg)
{
    (void)arg;
    CHECK(pthread_setspecific(key, freed_block(SMALL)) == 0);
}

void in_a_key_destructor(void)
{
    struct worker worker;

    CHECK(pthread_key_create(&key, key_destructor) == 0);
    worker_start(&worker, "ending", leave_freed_block, NULL);
    worker_finish(&worker);
}

/* Where eight threads misuse at once, each at calls of its own: every report is a full one. */
enum { MISUSERS = 8, CALLS = 12 };

volatile int last_call;

#define CALL(id)                                                                                   \
    void call_##id(void *ptr)                                                                      \
    {                                                                                              \
        free(hidden(ptr));                                                                         \
        last_call = 0x##id; /* no two of these functions may be merged into one */                 \
    }
#define CALL_ROW(row, each)                                                                        \
    each(row##0) each(row##1) each(row##2) each(row##3) each(row##4) each(row##5) each(row##6)     \
        each(row##7) each(row##8) each(row##9) each(row##a) each(row##b)

CALL_ROW(0, CALL)
CALL_ROW(1, CALL)
CALL_ROW(2, CALL)
CALL_ROW(3, CALL)
CALL_ROW(4, CALL)
CALL_ROW(5, CALL)
CALL_ROW(6, CALL)
CALL_ROW(7, CALL)

#define CALL_NAME(id) call_##id,

static void (*const calls[MISUSERS][CALLS])(void *) = {
    {CALL_ROW(0, CALL_NAME)}, {CALL_ROW(1, CALL_NAME)}, {CALL_ROW(2, CALL_NAME)},
    {CALL_ROW(3, CALL_NAME)}, {CALL_ROW(4, CALL_NAME)}, {CALL_ROW(5, CALL_NAME)},
    {CALL_ROW(6, CALL_NAME)}, {CALL_ROW(7, CALL_NAME)},
};

static pthread_barrier_t misusers_ready;

void misuse_with_others(void *arg)
{
    void (*const *own_calls)(void *) = arg;
    char local[64] = "on a stack";
    char *live = hidden(malloc(SMALL));
    void *bad[] = {hidden(freed_block(SMALL)), live + 8, local};

    publish_pointer("INTERIOR", live + 8);
    publish_pointer("LOCAL", local);
    pthread_barrier_wait(&misusers_ready);
    for (int i = 0; i < CALLS; i++) {
        own_calls[i](bad[i % 3]);
    }
    free(live);
}

void eight_threads_at_once(void)
{
    struct worker workers[MISUSERS];

    CHECK(pthread_barrier_init(&misusers_ready, NULL, MISUSERS) == 0);
    for (int i = 0; i < MISUSERS; i++) {
        worker_start(&workers[i], "misuser", misuse_with_others, (void *)(uintptr_t)calls[i]);
    }
    for (int i = 0; i < MISUSERS; i++) {
        CHECK(sem_post(&workers[i].go) == 0);
    }
    for (int i = 0; i < MISUSERS; i++) {
        worker_finish(&workers[i]);
    }
}

/* ---- at exit ---- */

static void *victim_at_exit;

void exit_handler(void)
{
    BAD_CALL(free(hidden(victim_at_exit)));
}

void in_an_exit_handler(void)
{
    CHECK(atexit(exit_handler) == 0);
    victim_at_exit = freed_block(SMALL);
}

static char *victim_of_destructor;

__attribute__((destructor)) void program_destructor(void)
{
    if (victim_of_destructor != NULL) {
        BAD_CALL(free(hidden(victim_of_destructor)));
    }
}

void in_a_destructor(void)
{
    victim_of_destructor = victim_global;
    publish_pointer("PTR", victim_global);
}

/* ---- fork ---- */

static pid_t start_child(void)
{
    pid_t child = fork();

    CHECK(child >= 0);
    return child;
}

static int end_of_child(pid_t child)
{
    int status;

    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Part of its user, which is to be the caller that the report names. */
static inline __attribute__((always_inline)) void free_in_child(int expected)
{
    void *ptr = freed_block(SMALL);
    pid_t child = start_child();

    if (child == 0) {
        publish_number("CHILD", (size_t)getpid());
        BAD_CALL(free(ptr));
        exit(5);
    }
    CHECK(end_of_child(child) == expected);
}

void in_a_child(void)
{
    free_in_child(5);
}

/* The child answers with what the options make of its own misuse; the parent did nothing wrong. */
void in_a_child_with_exit_code(void)
{
    free_in_child(77);
}

/* What the parent did is not the child's to tell. */
void before_a_child(void)
{
    void *ptr = freed_block(SMALL);
    pid_t child;

    BAD_CALL(free(ptr));
    child = start_child();
    if (child == 0) {
        free(hidden(malloc(SMALL)));
        exit(5);
    }
    CHECK(end_of_child(child) == 5);
}

/* ---- fd 2 is closed, or the program's own: nothing may be written into that ---- */

static void misuse_and_exit(void)
{
    void *ptr = freed_block(SMALL);

    BAD_CALL_UNMARKED(free(ptr));
    exit(5);
}

static int make_file(void)
{
    int file = memfd_create("a file of the program", 0);

    CHECK(file > STDERR_FILENO);
    return file;
}

static off_t size_of(int file)
{
    struct stat info;

    CHECK(fstat(file, &info) == 0);
    return info.st_size;
}

void fd2_closed(void)
{
    pid_t child = start_child();

    if (child == 0) {
        CHECK(close(STDERR_FILENO) == 0);
        misuse_and_exit();
    }
    CHECK(end_of_child(child) == 5);
}

void fd2_reused(void)
{
    int file = make_file();
    pid_t child = start_child();

    if (child == 0) {
        CHECK(close(STDERR_FILENO) == 0 && dup(file) == STDERR_FILENO);
        misuse_and_exit();
    }
    CHECK(end_of_child(child) == 5 && size_of(file) == 0);
}

void fd2_redirected(void)
{
    int file = make_file();
    pid_t child = start_child();

    if (child == 0) {
        CHECK(dup2(file, STDERR_FILENO) == STDERR_FILENO);
        misuse_and_exit();
    }
    CHECK(end_of_child(child) == 5 && size_of(file) == 0);
}

/* Back where it was, it is the one that the program started with. */
void fd2_restored(void)
{
    void *ptr = freed_block(SMALL);
    int saved = dup(STDERR_FILENO);

    CHECK(close(STDERR_FILENO) == 0 && dup2(saved, STDERR_FILENO) == STDERR_FILENO);
    BAD_CALL(free(ptr));
}

/* The program that fd2_closed_at_start starts; fd 3 is the file. */
void fd2_taken(void)
{
    CHECK(dup(3) == STDERR_FILENO);
    misuse_and_exit();
}

static void become(const char *name, const char *case_name)
{
    char path[4096] = "";

    CHECK(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
    execl(path, name, case_name, NULL);
    check_failed(__FILE__, __LINE__, "execl() returned");
}

void fd2_closed_at_start(void)
{
    int file = make_file();
    pid_t child = start_child();

    if (child == 0) {
        CHECK(dup2(file, 3) == 3 && close(STDERR_FILENO) == 0);
        become("situations", "fd2_taken");
    }
    CHECK(end_of_child(child) == 5 && size_of(file) == 0);
}

/* The program that fd2_broken_pipe starts. */
void fd2_unread(void)
{
    misuse_and_exit();
}

/* The program itself writes nothing there, so no SIGPIPE may end it. */
void fd2_broken_pipe(void)
{
    pid_t child = start_child();

    if (child == 0) {
        int ends[2];

        CHECK(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
        CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
        become("situations", "fd2_unread");
    }
    CHECK(end_of_child(child) == 5);
}

/* ---- whose call it was ---- */

void library_releases_badly(void *ptr);

void in_a_library(void)
{
    library_releases_badly(freed_block(SMALL));
}

/* What a program is told as its name need not be its path. */
void under_another_name(void)
{
    become("/bin/another", "one_call");
}

static const struct misuse_case situations[] = {
    MISUSE_CASE(realloc_double),
    MISUSE_CASE(realloc_double_in_place),
    MISUSE_CASE(realloc_double_forwarded),
    MISUSE_CASE(realloc_double_to_nothing),
    MISUSE_CASE(reallocarray_double),
    MISUSE_CASE(realloc_interior),
    MISUSE_CASE(realloc_interior_forwarded),
    MISUSE_CASE(realloc_foreign),
    MISUSE_CASE(cfree_double),
    MISUSE_CASE(libc_free_double),
    MISUSE_CASE(free_sized_double),
    MISUSE_CASE(free_aligned_sized_double),
    MISUSE_CASE(nothing_wrong),
    MISUSE_CASE(one_call),
    MISUSE_CASE(one_call_1000_times),
    MISUSE_CASE(one_call_two_kinds),
    MISUSE_CASE(five_calls),
    MISUSE_CASE(buffered_output),
    MISUSE_CASE(in_a_named_thread),
    MISUSE_CASE(in_a_thread_with_a_line_break),
    MISUSE_CASE(in_a_key_destructor),
    MISUSE_CASE(eight_threads_at_once),
    MISUSE_CASE(in_an_exit_handler),
    MISUSE_CASE(in_a_destructor),
    MISUSE_CASE(in_a_child),
    MISUSE_CASE(in_a_child_with_exit_code),
    MISUSE_CASE(before_a_child),
    MISUSE_CASE(fd2_closed),
    MISUSE_CASE(fd2_reused),
    MISUSE_CASE(fd2_redirected),
    MISUSE_CASE(fd2_restored),
    MISUSE_CASE(fd2_taken),
    MISUSE_CASE(fd2_closed_at_start),
    MISUSE_CASE(fd2_unread),
    MISUSE_CASE(fd2_broken_pipe),
    MISUSE_CASE(in_a_library),
    MISUSE_CASE(under_another_name),
};

int main(int argc, char **argv)
{
    return run_case(situations, sizeof(situations) / sizeof(situations[0]), argc, argv);
}
