#include "start_lib.h"

#include "check.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace
{

std::map<int, std::string> make_words()
{
    std::map<int, std::string> words;

    for (int i = 0; i < 500; i++)
        words[i] = std::string(static_cast<size_t>(i), 'x');
    return words;
}

const std::map<int, std::string> words = make_words();

thread_local char thread_bytes[20000];
thread_local std::vector<std::unique_ptr<std::string>> thread_strings;

// Priority 101 is the earliest that is not the compiler's own.
__attribute__((constructor(101))) void allocate_early()
{
    for (unsigned i = 0; i < START_BLOCKS; i++) {
        start_lib_blocks[i] = static_cast<char *>(malloc(start_lib_block_size(i)));
        CHECK(start_lib_blocks[i] != nullptr);
        fill(start_lib_blocks[i], start_lib_block_size(i), i);
    }
    CHECK(start_ifunc_sum(1) == 1 + 2 + 4);
}

// main() frees every second block, and this the others, after everything else.
__attribute__((destructor(101))) void free_late()
{
    for (unsigned i = 0; i < START_BLOCKS; i += 2) {
        CHECK(filled(start_lib_blocks[i], start_lib_block_size(i), i));
        free(start_lib_blocks[i]);
    }
}

} // namespace

extern "C" {

char *start_lib_blocks[START_BLOCKS];

size_t start_lib_block_size(unsigned number)
{
    return size_t{1} << number % 21;
}

int start_lib_words()
{
    return static_cast<int>(words.size());
}

int start_lib_touch_thread()
{
    thread_bytes[sizeof(thread_bytes) - 1]++;
    for (int i = 0; i < 100; i++)
        thread_strings.push_back(std::make_unique<std::string>(static_cast<size_t>(i), 'y'));
    return thread_bytes[sizeof(thread_bytes) - 1];
}

} // extern "C"
