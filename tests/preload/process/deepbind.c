/* A library opened with RTLD_DEEPBIND finds libc's malloc before the shim's, though its blocks
 * cross to and from the program: the shim takes the flag away, unless MM_DEEPBIND=keep.
 * usage: deepbind LIBRARY */
#include "check.h"
#include "deepbind_lib.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS 1000

static size_t block_size(size_t number)
{
    return number * 41;
}

static void test_blocks_cross(const struct deepbind_lib *library)
{
    void *blocks[BLOCKS];
    char *text = library->copy("some text");

    CHECK(text != NULL && strcmp(text, "some text") == 0);
    free(text);
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = i % 2 ? malloc(block_size(i)) : library->allocate(block_size(i));
        CHECK(blocks[i] != NULL);
        fill(blocks[i], block_size(i), (unsigned)i);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = block_size(i) + 1000;

        blocks[i] = i % 2 ? library->resize(blocks[i], size) : realloc(blocks[i], size);
        CHECK(blocks[i] != NULL && filled(blocks[i], block_size(i), (unsigned)i));
        if (i % 3 == 0)
            library->release(blocks[i]);
        else
            free(blocks[i]);
    }
}

/* Kept, the flag does what it says, and each side keeps to its own blocks. */
static void test_library_alone(const struct deepbind_lib *library)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        void *block = library->allocate(block_size(i));

        CHECK(block != NULL);
        block = library->resize(block, block_size(i) + 1000);
        CHECK(block != NULL);
        library->release(block);
        free(malloc(block_size(i)));
    }
}

/* The library frees a block of ours behind our back; around that, none is then found, and looking
 * does no harm. 64 MiB are unmapped at once. */
static void test_freed_behind_our_back(const struct deepbind_lib *library)
{
    char *block = malloc((size_t)64 << 20);

    CHECK(block != NULL);
    library->release(block);
    free(hide(block + 32));
}

static void test_library(void *handle, bool flag_works)
{
    void (*get)(struct deepbind_lib *) =
        (void (*)(struct deepbind_lib *))dlsym(handle, "deepbind_lib_get");
    struct deepbind_lib library;

    CHECK(get != NULL);
    get(&library);
    if (interposed())
        CHECK((library.malloc_it_calls != dlsym(RTLD_DEFAULT, "malloc")) == flag_works);
    if (interposed() && flag_works)
        test_library_alone(&library);
    else
        test_blocks_cross(&library);
}

/* In a run of its own: it reports. */
static void test_in_between(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_DEEPBIND);
    void (*get)(struct deepbind_lib *);
    struct deepbind_lib library;

    CHECK(handle != NULL);
    get = (void (*)(struct deepbind_lib *))dlsym(handle, "deepbind_lib_get");
    get(&library);
    test_freed_behind_our_back(&library);
}

int main(int argc, char **argv)
{
    const char *option = getenv("MM_DEEPBIND");
    bool flag_works = option != NULL && strcmp(option, "keep") == 0;

    CHECK(argc == 2);
    if (getenv("FREED_BEHIND_OUR_BACK") != NULL) {
        test_in_between(argv[1]);
        return 0;
    }
    if (interposed() && flag_works) {
        static char err[1 << 14];

        CHECK(setenv("FREED_BEHIND_OUR_BACK", "1", 1) == 0);
        CHECK(exited_with(run_self(argv[1], err, sizeof err), 0));
        CHECK(occurrences(err, "SUMMARY: mmshim: foreign-free") == 1);
        CHECK(unsetenv("FREED_BEHIND_OUR_BACK") == 0);
    }
    for (int round = 0; round < 3; round++) {
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);

        CHECK(library != NULL);
        test_library(library, flag_works);
        CHECK(dlclose(library) == 0);
        library = dlmopen(LM_ID_BASE, argv[1], RTLD_NOW | RTLD_DEEPBIND);
        CHECK(library != NULL);
        test_library(library, flag_works);
        CHECK(dlclose(library) == 0);
    }
    return 0;
}
