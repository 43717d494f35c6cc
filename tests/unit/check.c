#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { MOST_THREADS = 16 };

_Thread_local struct check_misuse check_misuse;

/* --- failing --- */

/* Where failures are told, however a test has redirected stdout and stderr since. */
static int told_at = STDERR_FILENO;

__attribute__((constructor)) static void remember_stderr(void)
{
    int copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    if (copy >= 0)
        told_at = copy;
}

/* Under an emulator it is the emulator's. */
__attribute__((constructor)) static void name_main_thread(void)
{
    prctl(PR_SET_NAME, program_invocation_short_name);
}

_Noreturn void check_failed(const char *file, int line, const char *condition)
{
    dprintf(told_at, "%s:%d: CHECK failed: %s\n", file, line, condition);
    abort();
}

void check_equal(const char *file, int line, const char *condition, uint64_t left, uint64_t right)
{
    if (left == right)
        return;
    dprintf(told_at, "left:  %#jx\nright: %#jx\n", (uintmax_t)left, (uintmax_t)right);
    check_failed(file, line, condition);
}

void check_text(const char *file, int line, const char *text, const char *expected)
{
    if (strcmp(text, expected) == 0)
        return;
    dprintf(told_at, "--- text:\n%s\n--- expected:\n%s\n", text, expected);
    check_failed(file, line, "text as expected");
}

/* --- random numbers, memory, threads --- */

/* splitmix64, by Sebastiano Vigna: any state is as good as another. */
uint64_t check_random(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

bool check_all_bytes(const void *start, size_t size, unsigned char byte)
{
    const unsigned char *bytes = start;
    return size == 0 || (bytes[0] == byte && memcmp(bytes, bytes + 1, size - 1) == 0);
}

struct thread {
    pthread_t id;
    unsigned number;
    void (*body)(unsigned number, void *shared);
    void *shared;
};

static void *run_thread(void *argument)
{
    const struct thread *thread = argument;
    thread->body(thread->number, thread->shared);
    return NULL;
}

void check_in_threads(unsigned count, void (*body)(unsigned number, void *shared), void *shared)
{
    struct thread threads[MOST_THREADS];
    CHECK(count <= MOST_THREADS);
    for (unsigned i = 0; i < count; i++) {
        threads[i] = (struct thread){.number = i, .body = body, .shared = shared};
        CHECK(pthread_create(&threads[i].id, NULL, run_thread, &threads[i]) == 0);
    }
    for (unsigned i = 0; i < count; i++)
        CHECK(pthread_join(threads[i].id, NULL) == 0);
}

void check_yield(void)
{
    sched_yield();
}

/* --- catching output --- */

void check_pipe_open(struct check_pipe *pipe_of, int fd)
{
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    *pipe_of = (struct check_pipe){fd, dup(fd), ends[0]};
    CHECK(pipe_of->original >= 0 && dup2(ends[1], fd) == fd && close(ends[1]) == 0);
}

void check_pipe_take(struct check_pipe *pipe_of, char *text, size_t capacity)
{
    size_t length = 0;
    ssize_t got;
    while (length < capacity &&
           (got = read(pipe_of->read_end, text + length, capacity - length)) > 0)
        length += (size_t)got;
    CHECK(length < capacity);
    text[length] = '\0';
}

void check_pipe_close(struct check_pipe *pipe_of)
{
    /* What nobody asked for, a sanitizer's words for instance, goes on its way. */
    char text[4096];
    for (ssize_t got; (got = read(pipe_of->read_end, text, sizeof text)) > 0;)
        CHECK(write(pipe_of->original, text, (size_t)got) == got);
    CHECK(dup2(pipe_of->original, pipe_of->fd) == pipe_of->fd);
    CHECK(close(pipe_of->original) == 0 && close(pipe_of->read_end) == 0);
}

/* --- misuse --- */

void check_on_misuse(const struct mem_mngr_misuse *misuse, void *user)
{
    (void)user;
    CHECK(misuse->report_size < sizeof check_misuse.report);
    CHECK_EQUAL(strlen(misuse->report), misuse->report_size);
    memcpy(check_misuse.report, misuse->report, misuse->report_size + 1);
    check_misuse.last = *misuse;
    check_misuse.last.report = check_misuse.report;
    check_misuse.count++;
}

void check_init(unsigned slots_per_batch)
{
    struct mem_mngr_config config = {.slots_per_batch = slots_per_batch,
                                     .on_misuse = check_on_misuse};
    CHECK(mem_mngr_init_with(&config) == 0);
}

void check_no_misuse(const char *file, int line)
{
    if (check_misuse.count == 0)
        return;
    dprintf(told_at, "%s", check_misuse.report);
    check_failed(file, line, "no misuse reported");
}

void check_one_misuse(const char *file, int line, enum mem_mngr_misuse_kind kind, const void *ptr)
{
    if (check_misuse.count != 1 || check_misuse.last.kind != kind || check_misuse.last.ptr != ptr) {
        dprintf(told_at, "reported: %u, expected: one of kind %d of %p; the last was:\n%s",
                check_misuse.count, (int)kind, ptr, check_misuse.report);
        check_failed(file, line, "one misuse reported");
    }
    check_misuse.count = 0;
}
