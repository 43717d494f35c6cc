/* cxx.cpp - rows of C++ programs: what the standard containers ask of operator new. COUNT is the
 * number of operations. */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench.h"

namespace
{

std::size_t checksum;

// An ordered index: nodes of one size, in and out at random places, of up to 100,000 keys.
void ordered(std::uint64_t count)
{
    std::map<std::size_t, std::size_t> index;
    std::uint64_t random = 1;
    while (count-- > 0) {
        std::size_t key = bench_below(bench_random(&random), 200000);
        auto [place, is_new] = index.try_emplace(key, count);
        if (!is_new)
            index.erase(place);
    }
    checksum += index.size();
}

// Counting words: keys with strings of their own, and a table that grows.
void hashed(std::uint64_t count)
{
    std::unordered_map<std::string, std::size_t> words;
    std::uint64_t random = 1;
    while (count-- > 0) {
        std::uint64_t drawn = bench_random(&random);
        // Some fit into the string object, most don't.
        std::string word = "word number " + std::to_string(bench_below(drawn, 100000));
        if (bench_also_below(drawn, 4) == 0)
            words.erase(word);
        else
            words[std::move(word)]++;
    }
    checksum += words.size();
}

// Text put together and taken apart: temporaries of many sizes, vectors that grow.
void strings(std::uint64_t count)
{
    std::uint64_t random = 1;
    while (count-- > 0) {
        std::string line;
        std::size_t fields = 2 + bench_below(bench_random(&random), 30);
        for (std::size_t i = 0; i < fields; i++)
            line += "field-" + std::to_string(bench_random(&random)) + ',';
        std::vector<std::string> parts;
        for (std::size_t at = 0; at < line.size();) {
            std::size_t end = line.find(',', at);
            parts.push_back(line.substr(at, end - at));
            at = end + 1;
        }
        checksum += parts.back().size();
    }
}

// A parser that builds trees and drops them: nested lists and objects in the manner of JSON.
struct node {
    std::string text;
    std::vector<std::pair<std::string, std::unique_ptr<node>>> children;
};

class parser
{
  public:
    explicit parser(const std::string &text) : at(text.c_str())
    {
    }

    std::unique_ptr<node> value()
    {
        auto result = std::make_unique<node>();
        if (*at != '{') {
            result->text = word();
            return result;
        }
        do {
            at++;
            std::string name = word();
            expect(':');
            result->children.emplace_back(std::move(name), value());
        } while (*at == ',');
        expect('}');
        return result;
    }

  private:
    std::string word()
    {
        const char *first = at;
        at += std::strcspn(at, "{}:,");
        return std::string(first, at);
    }

    void expect(char character)
    {
        if (*at++ != character)
            throw std::runtime_error("not as it was written");
    }

    const char *at;
};

void write_tree(std::uint64_t &random, unsigned depth, std::string &text)
{
    std::uint64_t drawn = bench_random(&random);
    if (depth == 0 || bench_below(drawn, 8) == 0) {
        text.append(bench_real_size(drawn) % 50, 'x');
        return;
    }
    std::size_t children = 1 + bench_below(drawn, 8);
    for (std::size_t i = 0; i < children; i++) {
        text += (i == 0 ? "{key" : ",key") + std::to_string(i) + ':';
        write_tree(random, depth - 1, text);
    }
    text += '}';
}

std::size_t size_of_tree(const node &top)
{
    std::size_t size = 1;
    for (const auto &child : top.children)
        size += size_of_tree(*child.second);
    return size;
}

void parse(std::uint64_t count)
{
    std::uint64_t random = 5;
    std::string text;
    while (text.size() < 100000) {
        text.clear();
        write_tree(random, 6, text);
    }
    for (std::size_t nodes = 0; nodes < count;) {
        auto tree = parser(text).value();
        nodes += size_of_tree(*tree);
    }
}

} // namespace

int main(int argc, char **argv)
{
    static const bench_row rows[] = {
        {"map", ordered},
        {"unordered_map", hashed},
        {"strings", strings},
        {"parser", parse},
    };
    int status = bench_main(argc, argv, rows, sizeof rows / sizeof *rows);
    bench_keep(&checksum);
    return status;
}
