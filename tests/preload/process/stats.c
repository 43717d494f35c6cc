/* The calls that ask about the allocator, or tune it: they may say what they like about
 * internals, but what they say must hang together. */
#include "check.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_BLOCKS ((size_t)100000)
#define SMALL_SIZE   ((size_t)100)
#define LARGE_BLOCKS ((size_t)10)
#define LARGE_SIZE   ((size_t)1 << 20)
#define ASKED        (SMALL_BLOCKS * SMALL_SIZE + LARGE_BLOCKS * LARGE_SIZE)

static void *small[SMALL_BLOCKS];
static void *large[LARGE_BLOCKS];

static void allocate_all(void)
{
    for (size_t i = 0; i < SMALL_BLOCKS; i++)
        CHECK((small[i] = malloc(SMALL_SIZE)) != NULL);
    for (size_t i = 0; i < LARGE_BLOCKS; i++)
        CHECK((large[i] = malloc(LARGE_SIZE)) != NULL);
}

static void free_all(void)
{
    for (size_t i = 0; i < SMALL_BLOCKS; i++)
        free(small[i]);
    for (size_t i = 0; i < LARGE_BLOCKS; i++)
        free(large[i]);
}

/* What the program holds, of what the allocator has, as mallinfo() tells it. */
struct figures {
    size_t used;
    size_t had;
};

static struct figures figures_of_mallinfo(void)
{
    struct mallinfo info = mallinfo();

    CHECK(info.arena >= 0 && info.hblkhd >= 0 && info.uordblks >= 0 && info.fordblks >= 0);
    return (struct figures){(size_t)info.uordblks + (size_t)info.hblkhd,
                            (size_t)info.arena + (size_t)info.hblkhd};
}

#if __GLIBC_PREREQ(2, 33)
static struct figures figures_of_mallinfo2(void)
{
    struct mallinfo2 info = mallinfo2();

    CHECK(info.uordblks + info.fordblks == info.arena);
    return (struct figures){info.uordblks + info.hblkhd, info.arena + info.hblkhd};
}
#endif

static void test_mallinfo(struct figures (*figures)(void))
{
    struct figures before = figures();
    struct figures full, after;

    allocate_all();
    full = figures();
    free_all();
    after = figures();
    CHECK(before.used <= before.had && full.used <= full.had && after.used <= after.had);
    CHECK(full.used >= before.used + ASKED && full.used <= before.used + ASKED * 2);
    CHECK(after.used <= before.used + ASKED / 10);
}

/* libc's own: it refuses such a limit, but from 2.43 on has none. */
static int libc_mallopt(int parameter, int value)
{
    int (*mallopt_of_libc)(int, int);
    *(void **)&mallopt_of_libc = dlsym(dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD), "mallopt");
    return mallopt_of_libc(parameter, value);
}

static void test_mallopt(void)
{
    CHECK(mallopt(M_MMAP_THRESHOLD, 256 * 1024) == 1);
    CHECK(mallopt(M_TRIM_THRESHOLD, 256 * 1024) == 1);
    CHECK(mallopt(M_ARENA_MAX, 2) == 1);
    CHECK(mallopt(M_MXFAST, 1 << 20) == libc_mallopt(M_MXFAST, 1 << 20));
    allocate_all();
    free_all();
}

static void test_malloc_trim(void)
{
    int given_back;

    allocate_all();
    free_all();
    given_back = malloc_trim(0);
    CHECK(given_back == 0 || given_back == 1);
    given_back = malloc_trim(1 << 20);
    CHECK(given_back == 0 || given_back == 1);
}

/* The name of a tag, up to what may follow one. */
static size_t name_length(const char *tag)
{
    return strcspn(tag, " \t\n/>");
}

/* Whether it is one element `malloc`, whose tags nest, with attributes in quotes. */
static void check_xml(const char *xml)
{
    const char *open[16];
    size_t depth = 0;
    size_t elements = 0;

    CHECK(strncmp(xml, "<malloc", 7) == 0);
    for (const char *at = strchr(xml, '<'); at != NULL; at = strchr(at, '<')) {
        const char *tag = at + 1;
        const char *end = strchr(tag, '>');

        CHECK(end != NULL);
        at = end;
        if (*tag == '/') {
            CHECK(depth > 0);
            depth--;
            CHECK(name_length(tag + 1) == name_length(open[depth]));
            CHECK(strncmp(tag + 1, open[depth], name_length(tag + 1)) == 0);
            continue;
        }
        CHECK(name_length(tag) > 0 && (depth > 0 || elements == 0));
        elements++;
        for (const char *equals = memchr(tag, '=', (size_t)(end - tag)); equals != NULL;
             equals = memchr(equals, '=', (size_t)(end - equals))) {
            const char *closing = equals[1] == '"' ? strchr(equals + 2, '"') : NULL;

            CHECK(closing != NULL && closing < end);
            equals = closing;
        }
        if (end[-1] != '/') {
            CHECK(depth < sizeof(open) / sizeof(open[0]));
            open[depth++] = tag;
        }
    }
    CHECK(depth == 0 && elements > 1);
    CHECK(strcmp(xml + strlen(xml) - 2, ">\n") == 0);
}

/* Into a stream that allocates itself, while malloc_info() may hold whatever it needs. */
static void test_malloc_info(void)
{
    char *xml = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&xml, &size);

    CHECK(stream != NULL);
    allocate_all();
    CHECK(malloc_info(0, stream) == 0);
    free_all();
    CHECK(fclose(stream) == 0 && size == strlen(xml));
    check_xml(xml);
    free(xml);
    CHECK(malloc_info(1, stdout) == EINVAL);
}

static void test_malloc_stats(void)
{
    static char err[1 << 16];

    CHECK(exited_with(run_self("malloc_stats", err, sizeof(err)), 0));
    CHECK(strstr(err, "system bytes") != NULL && strstr(err, "in use bytes") != NULL);
    /* It is no cancellation point. */
    CHECK(exited_with(run_self("cancelled", err, sizeof(err)), 0));
    CHECK(strstr(err, "system bytes") != NULL && strstr(err, "max mmap bytes") != NULL);
}

static bool came_back;

static void *tell_with_request_pending(void *unused)
{
    pthread_cancel(pthread_self());
    malloc_stats();
    came_back = true;
    pthread_testcancel();
    return unused;
}

static int tell_in_thread(void)
{
    pthread_t thread;
    void *result;

    CHECK(pthread_create(&thread, NULL, tell_with_request_pending, NULL) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    return came_back && result == PTHREAD_CANCELED ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "malloc_stats") == 0) {
        allocate_all();
        malloc_stats();
        free_all();
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "cancelled") == 0)
        return tell_in_thread();
    if (argc > 1 && strcmp(argv[1], "malloc_info") == 0) {
        allocate_all();
        return malloc_info(0, stdout);
    }
    test_mallinfo(figures_of_mallinfo);
#if __GLIBC_PREREQ(2, 33)
    test_mallinfo(figures_of_mallinfo2);
#endif
    test_malloc_info();
    test_malloc_stats();
    test_malloc_trim();
    test_mallopt();
    return 0;
}
