// server.cpp - a server of twelve requests, each handled with a bug of its own, as they are made: a
// line behind which "bug N" stands is one to change, or to look at, and N's report is to show it.
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace
{

// What the compiler doesn't follow.
template <typename type> type *hidden(type *pointer)
{
    asm volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

class session
{
  public:
    explicit session(std::string user) : user_(std::move(user)), bytes_(0)
    {
    }
    void count(std::size_t bytes)
    {
        bytes_ += bytes; // bug 9
    }

  private:
    std::string user_;
    std::size_t bytes_;
};

// A connection is closed when the peer hangs up, and once more by who served it.
void on_hang_up(session *peer)
{
    delete peer; // bug 1, the first time
}

void serve_chat()
{
    auto *peer = hidden(new session("ann"));

    on_hang_up(peer);
    delete peer; // bug 1
}

// The table has moved by the time that the old one is given back.
void serve_upload()
{
    auto *table = static_cast<int *>(std::malloc(16 * sizeof(int)));
    auto *grown =
        static_cast<int *>(std::realloc(hidden(table), 4096 * sizeof(int))); // bug 2, moved

    std::free(hidden(table)); // bug 2
    std::free(hidden(grown));
}

// One object, and two that think that it is theirs.
void serve_twins()
{
    auto *shared = hidden(new session("bob"));
    std::vector<std::unique_ptr<session>> owners;

    owners.emplace_back(shared);
    owners.emplace_back(shared);
    owners.clear(); // bug 3
}

char *trimmed(char *text)
{
    while (std::isspace(static_cast<unsigned char>(*text)) != 0) {
        text++;
    }
    return text;
}

void serve_header()
{
    char *header = trimmed(hidden(strdup("   Host: here")));

    std::free(hidden(header)); // bug 4
}

char greeting[64] = "hello";

void serve_greeting()
{
    char *text = hidden(greeting);

    std::free(text); // bug 5
}

// getline() makes the buffer larger, which only malloc()'s can be.
void serve_line(std::FILE *request)
{
    char first[8] = ""; // bug 6, told there
    char *line = hidden(first);
    std::size_t size = sizeof(first);

    getline(&line, &size, request); // bug 6
}

void serve_name()
{
    const char *name = hidden("a name of some length");
    auto *copy = hidden(new char[std::strlen(name)]); // bug 7

    std::strcpy(copy, name); // bug 7, told there
    delete[] copy;
}

void strip_slashes(char *path)
{
    std::size_t end = std::strlen(path);

    do {
        hidden(path)[--end] = '\0'; // bug 8, beyond the start
    } while (path[end - 1] == '/' || end == 0);
}

void serve_path()
{
    auto *path = static_cast<char *>(std::malloc(16)); // bug 8

    std::strcpy(hidden(path), "");
    strip_slashes(path);
    std::free(path);
}

void serve_late()
{
    auto *peer = hidden(new session("cid"));

    delete peer; // bug 9, freed
    hidden(peer)->count(100);
}

void serve_samples()
{
    auto *samples = hidden(new double[100]);

    delete samples; // bug 10
}

struct handler {
    int number = 0;
};

struct long_handler : handler {
    char state[200] = {};
};

void serve_handler()
{
    std::unique_ptr<handler> made(hidden(new long_handler));

    made.reset(); // bug 11
}

void serve_quota()
{
    auto *block = static_cast<char *>(hidden(std::malloc(100)));

    std::free(block);                                        // bug 12, freed
    std::printf("%zu\n", malloc_usable_size(hidden(block))); // bug 12
}

} // namespace

int main()
{
    static char text[] = "GET /a/long/path/to/something HTTP/1.1\n";
    std::FILE *request = fmemopen(text, sizeof(text), "r");

    std::thread(serve_chat).join();
    serve_upload();
    serve_twins();
    serve_header();
    serve_greeting();
    serve_line(request);
    serve_name();
    std::thread(serve_path).join();
    serve_late();
    serve_samples();
    serve_handler();
    serve_quota();
    std::fclose(request);
    return 0;
}
