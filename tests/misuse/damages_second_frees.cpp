// damages_second_frees.cpp - blocks that are freed twice, with others that come and go in between:
// told at the second free, with who allocated and who freed first.
#include "damages.h"

#include <string>
#include <string_view>

extern "C" {

void *first_allocation(std::size_t size)
{
    return hidden(std::malloc(size));
}

void first_free(void *block)
{
    std::free(block);
}

void second_free(void *block)
{
    std::free(block);
}
}

namespace
{

struct replacing {
    const char *name;
    std::size_t least, most; // bytes of a block
};

const replacing replacings[] = {{"40 bytes", 40, 40},
                                {"200 bytes", 200, 200},
                                {"2000 bytes", 2000, 2000},
                                {"90000 bytes", 90000, 90000},
                                {"mixed sizes", 16, 90000}};

unsigned next_random(unsigned &state)
{
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

// Each doubling of sizes comes as often.
std::size_t random_size(const replacing &blocks, unsigned &state)
{
    std::size_t size = blocks.most;

    while (size / 2 >= blocks.least && next_random(state) % 2 != 0) {
        size /= 2;
    }
    return size > blocks.least ? size - next_random(state) % (size / 2) : size;
}

// In between others come and go, and 200 stay.
void free_twice(const replacing &blocks, int between, unsigned seed)
{
    static void *live[200];
    unsigned state = seed;
    bool in_thread = seed % 4 == 3;
    worker other;

    for (void *&one : live) {
        one = first_allocation(random_size(blocks, state));
    }
    void *&first = live[next_random(state) % 200];
    void *block = first;
    publish_block(block);
    if (in_thread) {
        worker_start(&other, "other", second_free, block);
    }
    first_free(block);
    first = nullptr;
    for (int i = 0; i < between; i++) {
        void *&one = live[next_random(state) % 200];

        std::free(one);
        one = hidden(std::malloc(random_size(blocks, state)));
    }
    in_thread ? worker_finish(&other) : second_free(block);
    mark("found");
    for (void *one : live) {
        std::free(one);
    }
}

// What a report says of `function` after the line that begins with `heading`.
bool names(std::string_view text, const char *heading, const char *function)
{
    std::size_t from = text.find(heading);
    std::size_t frame = from != std::string::npos ? text.find("    #0 ", from) : from;

    return frame != std::string::npos &&
           text.find(std::string(" in ") + function + "+", frame) < text.find('\n', frame);
}

void check_second_free(const replacing &blocks, int between, unsigned seed)
{
    run ran = in_own_process([&] { free_twice(blocks, between, seed); });

    if (ran.status != STATUS_WENT_ON || count_of(ran.text, "ERROR: ") != 1 ||
        !names(ran.text,
               ("ERROR: mmshim: double-free of " + std::string(ran.block) + " by ").c_str(),
               "second_free") ||
        !names(ran.text, "\nfirst freed ", "first_free") ||
        !names(ran.text, "\nallocated ", "first_allocation") ||
        count_of(ran.rest, "ERROR: ") != 0) {
        tell_failure(std::string(blocks.name) + ", freed again after " + std::to_string(between) +
                         ", seed " + std::to_string(seed),
                     ran);
    }
}

} // namespace

// The first four have another thread among them.
unsigned seeds = 4;

void check_second_frees()
{
    for (const replacing &blocks : replacings) {
        for (int between : {0, 100, 1000, 5000}) {
            for (unsigned seed = 0; seed < seeds; seed++) {
                check_second_free(blocks, between, seed);
            }
        }
    }
}
