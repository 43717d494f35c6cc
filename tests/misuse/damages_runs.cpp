// damages_runs.cpp - a case's child, and what it wrote to stderr; see damages.h.
#include "damages.h"

#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>

int failures;

void tell_failure(const std::string &what, const run &ran)
{
    failures++;
    dprintf(STDOUT_FILENO, "FAILED: %s: status %d, block %.*s\n%.*s-- found\n%.*s", what.c_str(),
            ran.status, static_cast<int>(ran.block.size()), ran.block.data(),
            static_cast<int>(ran.text.size()), ran.text.data(), static_cast<int>(ran.rest.size()),
            ran.rest.data());
}

void start_with_file_as_stderr(char **argv)
{
    int file;

    if (lseek(STDERR_FILENO, 0, SEEK_CUR) == 0 && std::strcmp(argv[0], "again") == 0) {
        CHECK(fcntl(STDERR_FILENO, F_SETFL, O_APPEND) == 0);
        return;
    }
    file = memfd_create("stderr", 0);
    argv[0] = const_cast<char *>("again");
    CHECK(file >= 0 && dup2(file, STDERR_FILENO) == STDERR_FILENO);
    execv("/proc/self/exe", argv);
    CHECK(false);
}

namespace
{

// Kept outside the heap, which each child looks through at its end.
std::string_view whole_stderr()
{
    static char text[1 << 16];
    ssize_t count = pread(STDERR_FILENO, text, sizeof(text), 0);

    CHECK(count >= 0 && ftruncate(STDERR_FILENO, 0) == 0);
    return {text, static_cast<std::size_t>(count)};
}

// Up to `end`, which is left out of both what is returned and what is left.
std::string_view cut(std::string_view &text, const char *end)
{
    std::size_t length = text.find(end);
    std::string_view before = text.substr(0, length);

    text.remove_prefix(length == text.npos ? text.size() : length + std::strlen(end));
    return before;
}

} // namespace

void take_stderr(run &ran)
{
    ran.rest = whole_stderr();
    ran.block = cut(ran.rest, "\n");
    ran.text = cut(ran.rest, "-- found\n");
}

void publish_block(void *block)
{
    char line[40];
    int length = std::snprintf(line, sizeof(line), "%p\n", block);

    CHECK(block != nullptr &&
          write(STDERR_FILENO, line, static_cast<std::size_t>(length)) == length);
}

std::size_t count_of(std::string_view text, const char *what)
{
    std::size_t count = 0;

    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at++) {
        count++;
    }
    return count;
}
