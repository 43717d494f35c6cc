// planted.cpp - the same in C++: what its objects hold, and pointers that are not to a block's
// start.
#include "planted.h"

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace
{

template <size_t size> struct sized {
    char bytes[size];
};

template <size_t size> sized<size> *make()
{
    return static_cast<sized<size> *>(hidden(new sized<size>()));
}

struct with_destructor {
    ~with_destructor()
    {
        wipe();
    }
    char bytes[10];
};
struct first_base {
    virtual ~first_base() = default;
    long first[20];
};
struct second_base {
    virtual ~second_base() = default;
    long second[20];
};
struct derived : first_base, second_base {
    long own[3];
};
struct node {
    std::shared_ptr<node> next;
    char bytes[70];
};

} // namespace

// Not the compiler's to leave out.
with_destructor *volatile array;
second_base *volatile base;
std::vector<sized<301> *> *volatile vector;
std::map<int, std::unique_ptr<sized<302>>> map;
std::unordered_map<std::string, std::list<std::string>> texts;
std::unique_ptr<sized<303>> unique;
std::function<size_t()> function;
thread_local std::vector<sized<304> *> of_thread;

namespace
{

void lost_object()
{
    make<151>();
}

void lost_array()
{
    hidden(new with_destructor[16]);
}

void lost_vector()
{
    auto *lost = new std::vector<sized<152> *>(3);
    (*lost)[1] = make<152>();
    hidden(lost);
}

void lost_ring_of_shared()
{
    auto one = std::make_shared<node>(), two = std::make_shared<node>();
    one->next = two;
    two->next = one;
}

void lost_by_release()
{
    unique.reset(make<303>());
    hidden(unique.release());
}

void kept_array_with_count()
{
    array = new with_destructor[16];
}

void kept_by_second_base()
{
    base = new derived;
}

void kept_in_containers()
{
    vector = new std::vector<sized<301> *>{make<301>()};
    for (int i = 0; i < 100; i++)
        map[i].reset(make<302>());
    for (int i = 0; i < 100; i++)
        texts[std::string(100, 'a') + std::to_string(i)].push_back(std::string(200, 'b'));
    of_thread.push_back(make<304>()); // lost as the thread ends, before all is looked at
    hidden(new int *[1]);             // 8 bytes that are lost
}

void kept_by_closure()
{
    std::vector<std::string> many(50, std::string(300, 'c'));
    function = [many] { return many.size(); };
}

} // namespace

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }
static const struct planted cases[] = {
    CASE(lost_object),         CASE(lost_array),         CASE(lost_vector),
    CASE(lost_ring_of_shared), CASE(lost_by_release),    CASE(kept_array_with_count),
    CASE(kept_by_second_base), CASE(kept_in_containers), CASE(kept_by_closure),
};

int main(int argc, char **argv)
{
    return planted_main(cases, sizeof cases / sizeof cases[0], argc, argv);
}
