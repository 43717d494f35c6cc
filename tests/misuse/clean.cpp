// clean.cpp - a correct C++ program: containers, threads, exceptions, every operator new with
// its delete. Nothing may appear on stderr.
#include "misuse.h"

#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace
{

struct alignas(256) overaligned {
    char bytes[300];
};

struct base {
    virtual ~base() = default;
};

struct other_base {
    virtual ~other_base() = default;
    long value = 1;
};

// Deleted through other_base, which is not at the start of the block.
struct derived : base, other_base {
    std::string name = std::string(1000, 'd');
};

void use_new()
{
    delete static_cast<long *>(hidden(new long));
    delete[] static_cast<std::string *>(hidden(new std::string[40]));
    delete static_cast<overaligned *>(hidden(new overaligned));
    delete[] static_cast<overaligned *>(hidden(new overaligned[200]));
    delete[] static_cast<char *>(hidden(new (std::nothrow) char[100000]));
    other_base *second = new derived;
    delete second;
    base *nothing = nullptr;
    delete nothing;
}

std::map<int, std::string> make_map(int size)
{
    std::map<int, std::string> map;

    for (int i = 0; i < size; i++) {
        map[i * 31 % size] = std::string(static_cast<std::size_t>(i % 200), 'x');
    }
    return map;
}

void use_containers()
{
    auto map = make_map(1000);
    std::vector<std::string> values;

    for (auto &[key, value] : map) {
        values.push_back(std::to_string(key) + value);
    }
    map.clear();
    CHECK(values.size() == 1000);
}

// A thread makes the map, another one destroys it.
void use_threads()
{
    std::vector<std::future<std::map<int, std::string>>> made;

    for (int i = 0; i < 8; i++) {
        made.push_back(std::async(std::launch::async, make_map, 500));
    }
    for (auto &future : made) {
        std::thread([map = future.get()]() mutable { map.clear(); }).join();
    }
}

void use_exceptions()
{
    for (int i = 0; i < 100; i++) {
        try {
            throw std::runtime_error(std::string(static_cast<std::size_t>(i), 'e'));
        } catch (const std::exception &error) {
            CHECK(std::string(error.what()).size() == static_cast<std::size_t>(i));
        }
    }
}

void use_streams()
{
    std::ostringstream out;

    for (int i = 0; i < 10000; i++) {
        out << i << ' ';
    }
    CHECK(out.str().size() == 48890);
    std::cerr << std::flush;
}

thread_local std::shared_ptr<std::string> of_this_thread = std::make_shared<std::string>("t");
std::string in_static_storage(5000, 's');

} // namespace

int main()
{
    use_new();
    use_containers();
    use_threads();
    use_exceptions();
    use_streams();
    std::thread([] { *of_this_thread += in_static_storage; }).join();
    return STATUS_WENT_ON;
}
