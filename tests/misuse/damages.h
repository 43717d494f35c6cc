// damages.h - what the parts of the program `damages` share: each case runs in a child of its own,
// and what that wrote to stderr is looked at.
#ifndef DAMAGES_H
#define DAMAGES_H

#include "misuse.h"

#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>

extern "C" std::size_t mem_mngr_check() __attribute__((weak));

struct run {
    std::string_view block; // its address
    std::string_view text;  // what follows, up to the mark
    std::string_view rest;  // what stands behind that
    int status;
};

// Starts the program again, once: reports go where stderr led at the start, into a file, which all
// children have.
void start_with_file_as_stderr(char **argv);

// For the child: the first line that `run` takes.
void publish_block(void *block);

// What was written to stderr since it was taken last.
void take_stderr(run &ran);

template <typename body> run in_own_process(body work)
{
    run ran = {};
    int status;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        work();
        std::exit(STATUS_WENT_ON);
    }
    CHECK(waitpid(child, &status, 0) == child);
    ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    take_stderr(ran);
    return ran;
}

std::size_t count_of(std::string_view text, const char *what);

extern int failures;
void tell_failure(const std::string &what, const run &ran);

extern unsigned seeds; // of each kind of second frees
void check_second_frees();
void check_neighbours();

#endif
