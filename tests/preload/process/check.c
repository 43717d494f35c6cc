#include "check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void check_failed(const char *file, int line, const char *condition)
{
    int error = errno;

    dprintf(STDERR_FILENO, "%s:%d: not so: %s (errno %d)\n", file, line, condition, error);
    _exit(1);
}

bool interposed(void)
{
    Dl_info where;

    return dladdr(dlsym(RTLD_DEFAULT, "malloc"), &where) != 0 &&
           strstr(where.dli_fname, "libmmshim") != NULL;
}

/* A shim that ld.so could not load is only warned about; the tests would then test libc. */
__attribute__((constructor)) static void check_preloaded(void)
{
    const char *preload = getenv("LD_PRELOAD");

    CHECK(preload == NULL || strstr(preload, "libmmshim") == NULL || interposed());
}

static size_t read_all(int fd, char *text, size_t size)
{
    size_t used = 0;
    ssize_t got;

    while ((got = read(fd, text + used, size - 1 - used)) > 0) {
        used += (size_t)got;
        CHECK(used < size - 1);
    }
    CHECK(got == 0);
    text[used] = '\0';
    return used;
}

#define SECONDS       200 /* less than CTest's limit, so that the test itself tells where it hung */
#define SECONDS_ALONE 5

static int run(bool alone, const char *argument, char *err, size_t size)
{
    int ends[2];
    int status;
    pid_t child;

    CHECK(pipe(ends) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        CHECK(!alone || unsetenv("LD_PRELOAD") == 0);
        alarm(alone ? SECONDS_ALONE : SECONDS);
        execl("/proc/self/exe", "self", argument, (char *)NULL);
        check_failed(__FILE__, __LINE__, "execl");
    }
    close(ends[1]);
    read_all(ends[0], err, size);
    close(ends[0]);
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

int run_self(const char *argument, char *err, size_t size)
{
    return run(false, argument, err, size);
}

int run_self_alone(const char *argument, char *err, size_t size)
{
    return run(true, argument, err, size);
}

bool exited_with(int wait_status, int exit_status)
{
    return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == exit_status;
}

size_t occurrences(const char *text, const char *part)
{
    size_t count = 0;

    for (; (text = strstr(text, part)) != NULL; text += strlen(part))
        count++;
    return count;
}

/* One long run of odd bytes; a seed is where to start in it. */
#define SEEDS 1021
static unsigned char pattern[PATTERN_SIZE + SEEDS];
static pthread_once_t pattern_made = PTHREAD_ONCE_INIT;

static void make_pattern(void)
{
    unsigned state = 1;

    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (unsigned char)(next_random(&state) | 1);
}

static const unsigned char *pattern_of(size_t size, unsigned seed)
{
    CHECK(size <= PATTERN_SIZE);
    pthread_once(&pattern_made, make_pattern);
    return pattern + seed % SEEDS;
}

void fill(void *block, size_t size, unsigned seed)
{
    memcpy(block, pattern_of(size, seed), size);
}

bool filled(const void *block, size_t size, unsigned seed)
{
    return memcmp(block, pattern_of(size, seed), size) == 0;
}

bool all_zero(const void *block, size_t size)
{
    const unsigned char *bytes = block;

    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* The first two numbers of statm. */
static void read_sizes(size_t *all, size_t *resident)
{
    char text[128];
    char *end;
    size_t page_kib = (size_t)sysconf(_SC_PAGESIZE) / 1024;
    int fd = open("/proc/self/statm", O_RDONLY);

    CHECK(fd >= 0);
    read_all(fd, text, sizeof(text));
    close(fd);
    *all = strtoul(text, &end, 10) * page_kib;
    *resident = strtoul(end, NULL, 10) * page_kib;
}

size_t resident_kib(void)
{
    size_t all, resident;

    read_sizes(&all, &resident);
    return resident;
}

size_t address_space_kib(void)
{
    size_t all, resident;

    read_sizes(&all, &resident);
    return all;
}

size_t mapping_count(void)
{
    char text[4096];
    size_t lines = 0;
    ssize_t got;
    int fd = open("/proc/self/maps", O_RDONLY);

    CHECK(fd >= 0);
    while ((got = read(fd, text, sizeof(text))) > 0)
        for (ssize_t i = 0; i < got; i++)
            lines += text[i] == '\n';
    close(fd);
    return lines;
}
