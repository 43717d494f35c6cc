// containers.cpp - much work for a compiler, and a program that uses operator new throughout.
#include <algorithm>
#include <deque>
#include <functional>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace
{
struct alignas(64) Aligned {
    long values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
};

struct Node {
    std::string name;
    std::vector<std::shared_ptr<Node>> children;
    std::weak_ptr<Node> parent;
};

std::shared_ptr<Node> grow(int depth, const std::string &name)
{
    auto node = std::make_shared<Node>();
    node->name = name;
    for (int i = 0; depth > 0 && i < 4; i++) {
        auto child = grow(depth - 1, name + "/" + std::to_string(i));
        child->parent = node;
        node->children.push_back(std::move(child));
    }
    return node;
}

std::size_t name_lengths(const Node &node)
{
    return std::accumulate(
        node.children.begin(), node.children.end(), node.name.size(),
        [](std::size_t sum, const auto &child) { return sum + name_lengths(*child); });
}

std::map<std::string, int> count_words(const std::string &text)
{
    std::map<std::string, int> counts;
    const std::regex word("[a-z]+");
    for (std::sregex_iterator it(text.begin(), text.end(), word), end; it != end; ++it) {
        counts[it->str()]++;
    }
    return counts;
}

long work(int seed)
{
    std::unordered_map<int, std::deque<std::string>> queues;
    for (int i = 0; i < 20000; i++) {
        auto &queue = queues[(i * seed) % 613];
        queue.emplace_back(static_cast<std::size_t>(i % 90), 'x');
        if (queue.size() > 5) {
            queue.pop_front();
        }
    }
    long sum = 0;
    for (const auto &[key, queue] : queues) {
        for (const auto &text : queue) {
            sum += static_cast<long>(text.size()) + key;
        }
    }
    return sum;
}
} // namespace

int main()
{
    std::ostringstream text;
    for (int i = 0; i < 5000; i++) {
        text << "word" << static_cast<char>('a' + i % 26) << ' ';
    }
    for (const auto &[word, count] : count_words(text.str())) {
        std::cout << word << ' ' << count << '\n';
    }
    std::cout << name_lengths(*grow(6, "root")) << '\n';

    std::vector<std::future<long>> futures;
    for (int seed = 1; seed <= 4; seed++) {
        futures.push_back(std::async(std::launch::async, work, seed));
    }
    for (auto &future : futures) {
        std::cout << future.get() << '\n';
    }

    std::vector<std::unique_ptr<Aligned>> aligned;
    std::generate_n(std::back_inserter(aligned), 1000, [] { return std::make_unique<Aligned>(); });
    std::cout << std::all_of(aligned.begin(), aligned.end(), [](const auto &p) {
        return reinterpret_cast<std::uintptr_t>(p.get()) % 64 == 0;
    }) << '\n';

    int caught = 0;
    for (int i = 0; i < 1000; i++) {
        try {
            throw std::runtime_error("error number " + std::to_string(i));
        } catch (const std::exception &error) {
            caught += error.what()[0] == 'e';
        }
    }
    std::cout << caught << '\n';
    return 0;
}
