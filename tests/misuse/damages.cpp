// damages.cpp - writes beside blocks, writes to freed ones and second frees, in every combination
// of who made the block, how large it is, what was done to it and how that is found. Each runs in a
// child of its own, whose stderr must hold this one finding and no other; and nothing at all when
// nothing was done. `damages second_frees 20` does these with so many seeds.
#include "damages.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <new>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>

namespace
{

// ---- who makes a block, and frees it ----

struct maker {
    const char *name;
    void *(*make)(std::size_t size);
    void (*release)(void *block);
    bool may_resize;
};

void *zeroed(std::size_t size)
{
    return std::calloc(1, size);
}

void *grown(std::size_t size)
{
    return std::realloc(hidden(std::malloc(size / 2)), size);
}

void *shrunk(std::size_t size)
{
    return std::realloc(hidden(std::malloc(size + size / 8 + 1)), size);
}

void *aligned_64(std::size_t size)
{
    return memalign(64, size);
}

void *aligned_4096(std::size_t size)
{
    return memalign(4096, size);
}

void *by_new(std::size_t size)
{
    return ::operator new(size);
}

void *by_new_array(std::size_t size)
{
    return ::operator new[](size);
}

void by_delete(void *block)
{
    ::operator delete(block);
}

void by_delete_array(void *block)
{
    ::operator delete[](block);
}

const maker makers[] = {
    {"malloc", std::malloc, std::free, true},
    {"calloc", zeroed, std::free, true},
    {"realloc to more", grown, std::free, true},
    {"realloc to less", shrunk, std::free, true},
    {"memalign(64)", aligned_64, std::free, true},
    {"memalign(4096)", aligned_4096, std::free, true},
    {"new", by_new, by_delete, false},
    {"new[]", by_new_array, by_delete_array, false},
};

const std::size_t sizes[] = {1, 16, 40, 1000, 4096, 60000, 100000, 1 << 20};

// ---- what is done to it ----

enum place { NOWHERE, BEHIND, BEFORE, FIRST, MIDDLE, LAST };

struct deed {
    place where;
    std::size_t bytes;
};

const deed beside[] = {{NOWHERE, 0}, {BEHIND, 1}, {BEHIND, 8}, {BEHIND, 16},
                       {BEHIND, 64}, {BEFORE, 1}, {BEFORE, 8}};
const deed inside[] = {{NOWHERE, 0}, {FIRST, 1}, {MIDDLE, 1}, {LAST, 1}};

std::size_t offset_of(const deed &done, std::size_t size)
{
    return done.where == BEHIND   ? size
           : done.where == MIDDLE ? size / 2
           : done.where == LAST   ? size - 1
                                  : 0;
}

void do_to(void *block, std::size_t size, const deed &done)
{
    char *at = static_cast<char *>(block) + offset_of(done, size);

    if (done.where == BEFORE) {
        at -= done.bytes;
    }
    std::memset(hidden(at), 'x', done.bytes);
}

std::string bytes(std::size_t count)
{
    return std::to_string(count) + (count == 1 ? " byte" : " bytes");
}

// The report's first two lines, as far as they are known.
struct begin {
    std::string first, second;
};

begin begin_of(std::string_view block, std::size_t size, const deed &done)
{
    static const char *const kinds[] = {nullptr,          "overflow",       "underflow",
                                        "use-after-free", "use-after-free", "use-after-free"};
    std::size_t offset = offset_of(done, size);
    std::string where = done.where == BEFORE   ? bytes(done.bytes) + " before"
                        : done.where == BEHIND ? "right after"
                        : offset == 0          ? "at the start of"
                                               : bytes(offset) + " inside";

    return {std::string("ERROR: mmshim: ") + kinds[done.where] + " of " + std::string(block) +
                ", found ",
            "\n    " + where + " a block of " + bytes(size) +
                (done.where == BEHIND || done.where == BEFORE
                     ? "\n"
                     : ", written to after it was freed\n")};
}

// ---- how it is found: whatever was done is told once this is over ----

struct finder {
    const char *name;
    void (*find)(const maker &made, void *block, std::size_t size, const deed &done);
};

void by_free(const maker &made, void *block, std::size_t size, const deed &done)
{
    do_to(block, size, done);
    made.release(block);
}

void by_realloc(const maker &, void *block, std::size_t size, const deed &done)
{
    do_to(block, size, done);
    std::free(hidden(std::realloc(block, size + size / 2 + 100)));
}

// It stays as it is, and is told once all the same.
void by_realloc_in_place(const maker &, void *block, std::size_t size, const deed &done)
{
    do_to(block, size, done);
    block = std::realloc(block, size - 1);
    std::free(hidden(block));
}

void by_check(const maker &made, void *block, std::size_t size, const deed &done)
{
    CHECK(mem_mngr_check() == 0);
    do_to(block, size, done);
    CHECK(mem_mngr_check() == (done.where == NOWHERE ? 0u : 1u));
    CHECK(mem_mngr_check() == 0);
    mark("found");
    made.release(block);
}

void at_exit(const maker &, void *block, std::size_t size, const deed &done)
{
    do_to(block, size, done);
}

struct releasing {
    const maker *made;
    void *block;
};

void release_in_thread(void *arg)
{
    auto *what = static_cast<releasing *>(arg);

    what->made->release(what->block);
}

void by_other_thread(const maker &made, void *block, std::size_t size, const deed &done)
{
    releasing what = {&made, block};
    worker other;

    do_to(block, size, done);
    worker_start(&other, "other", release_in_thread, &what);
    worker_finish(&other);
}

// The child's copy is damaged, and not the parent's.
void in_child(const maker &made, void *block, std::size_t size, const deed &done)
{
    int status;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        do_to(block, size, done);
        made.release(block);
        std::exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    mark("found");
    made.release(block);
}

const finder finders[] = {{"free", by_free},
                          {"realloc", by_realloc},
                          {"realloc in place", by_realloc_in_place},
                          {"check", by_check},
                          {"exit", at_exit},
                          {"another thread's free", by_other_thread},
                          {"a child's free", in_child}};

// More is freed than is held, so that the block goes.
void leaving(const maker &made, void *block, std::size_t size, const deed &done)
{
    made.release(block);
    do_to(block, size, done);
    for (int i = 0; i < 200; i++) {
        std::free(hidden(std::malloc(1000)));
    }
}

void freed_and_check(const maker &made, void *block, std::size_t size, const deed &done)
{
    made.release(block);
    do_to(block, size, done);
    CHECK(mem_mngr_check() == (done.where == NOWHERE ? 0u : 1u));
}

void freed_and_exit(const maker &made, void *block, std::size_t size, const deed &done)
{
    made.release(block);
    do_to(block, size, done);
}

void freed_by_other_thread(const maker &made, void *block, std::size_t size, const deed &done)
{
    releasing what = {&made, block};
    worker other;

    worker_start(&other, "other", release_in_thread, &what);
    worker_finish(&other);
    do_to(block, size, done);
    CHECK(mem_mngr_check() == (done.where == NOWHERE ? 0u : 1u));
}

const finder finders_of_freed[] = {{"check, freed before", freed_and_check},
                                   {"exit, freed before", freed_and_exit},
                                   {"check, freed by another thread", freed_by_other_thread}};
const finder finders_of_leaving[] = {{"leaving the quarantine", leaving}};

// ---- all combinations ----

// libc's own bookkeeping follows.
bool would_break_libc(std::size_t size, const deed &done)
{
    return size >= 100000 && done.bytes > 16;
}

bool can_be(const maker &made, const finder &by, std::size_t size)
{
    bool resizes = by.find == by_realloc || by.find == by_realloc_in_place;

    return !resizes || (made.may_resize && size > 1);
}

void check_one(const maker &made, std::size_t size, const deed &done, const finder &by)
{
    run ran = in_own_process([&] {
        void *block = hidden(made.make(size));

        publish_block(block);
        by.find(made, block, size, done);
        if (by.find != at_exit && by.find != freed_and_exit && by.find != in_child &&
            by.find != by_check) {
            mark("found");
        }
    });
    bool is_clean = done.where == NOWHERE;
    begin told = begin_of(ran.block, size, is_clean ? beside[1] : done);
    std::size_t first = ran.text.find(told.first);
    bool is_told = first != std::string::npos &&
                   ran.text.find(told.second, first) == ran.text.find('\n', first);

    if (ran.status != STATUS_WENT_ON || is_told == is_clean ||
        count_of(ran.text, "ERROR: ") != (is_clean ? 0 : 1) || count_of(ran.rest, "ERROR: ") != 0 ||
        (is_clean && (!ran.text.empty() || !ran.rest.empty()))) {
        tell_failure(std::to_string(size) + " bytes by " + made.name + ", " +
                         std::to_string(done.bytes) + " written at place " +
                         std::to_string(done.where) + ", found by " + by.name,
                     ran);
    }
}

template <std::size_t deeds, std::size_t ways>
void check_all(const deed (&dones)[deeds], const finder (&bys)[ways])
{
    for (const maker &made : makers) {
        for (std::size_t size : sizes) {
            for (const deed &done : dones) {
                for (const finder &by : bys) {
                    if (!would_break_libc(size, done) && can_be(made, by, size)) {
                        check_one(made, size, done, by);
                    }
                }
            }
        }
    }
}

void check_beside()
{
    check_all(beside, finders);
}

void check_freed()
{
    check_all(inside, finders_of_freed);
}

void check_leaving()
{
    check_all(inside, finders_of_leaving);
}

const struct {
    const char *name;
    void (*check)();
} suites[] = {{"beside", check_beside},
              {"freed", check_freed},
              {"leaving", check_leaving},
              {"second_frees", check_second_frees},
              {"neighbours", check_neighbours}};

} // namespace

int main(int argc, char **argv)
{
    if (argc < 2 || mem_mngr_check == nullptr) {
        return 2;
    }
    start_with_file_as_stderr(argv);
    if (argc > 2) {
        seeds = static_cast<unsigned>(std::atoi(argv[2]));
    }
    for (const auto &suite : suites) {
        if (std::strcmp(suite.name, argv[1]) == 0) {
            suite.check();
        }
    }
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
