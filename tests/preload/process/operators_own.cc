// A program that replaces operator new and operator delete, in their plain forms only: all other
// forms must then end in those two, as the ones of libstdc++ do. A block of the program's is no
// block that malloc() returned, so one wrong turn is a bad free.
#include "check.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <vector>

namespace
{

constexpr size_t Header = 32;
// A compiler may take it that operators new and delete change nothing that is read here.
volatile long live;
volatile long allocated;

} // namespace

void *operator new(size_t size)
{
    char *block = static_cast<char *>(malloc(size + Header));

    if (block == nullptr)
        throw std::bad_alloc();
    live = live + 1;
    allocated = allocated + 1;
    return hide(block + Header); // a compiler that sees both takes the delete for a wrong one
}

// That the sized form is left out is the point.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wsized-deallocation"
#endif

void operator delete(void *block) noexcept
{
    if (block == nullptr)
        return;
    live = live - 1;
    free(static_cast<char *>(hide(block)) - Header);
}

namespace
{

void test_library_uses_them()
{
    const long before = live;
    {
        std::vector<std::string> strings;
        std::ostringstream stream;

        for (int i = 0; i < 1000; i++) {
            strings.emplace_back(static_cast<size_t>(i), 'x');
            stream << i << ' ' << strings.back();
        }
        CHECK(stream.str().size() > 400000);
        CHECK(live > before + 900);
    }
    CHECK(live == before);
}

// One new and one delete, of whatever form.
template <typename Allocate, typename Release> void test_form(Allocate allocate, Release release)
{
    const long live_before = live;
    const long allocated_before = allocated;
    void *block = hide(allocate(size_t{100}));

    CHECK(block != nullptr);
    CHECK(live == live_before + 1 && allocated == allocated_before + 1);
    fill(block, 100, 1);
    release(block);
    CHECK(live == live_before);
}

void test_other_forms()
{
    const auto plain = [](size_t n) { return operator new(n); };
    const auto array = [](size_t n) { return operator new[](n); };
    const auto nothrow = [](size_t n) { return operator new(n, std::nothrow); };
    const auto array_nothrow = [](size_t n) { return operator new[](n, std::nothrow); };

    test_form(plain, [](void *p) { operator delete(p); });
    test_form(plain, [](void *p) { operator delete (p, size_t{100}); });
    test_form(plain, [](void *p) { operator delete(p, std::nothrow); });
    test_form(nothrow, [](void *p) { operator delete(p); });
    test_form(nothrow, [](void *p) { operator delete(p, std::nothrow); });
    test_form(array, [](void *p) { operator delete[](p); });
    test_form(array, [](void *p) { operator delete[](p, size_t{100}); });
    test_form(array_nothrow, [](void *p) { operator delete[](p); });
    test_form(array_nothrow, [](void *p) { operator delete[](p, std::nothrow); });
}

// The aligned forms are a family of their own, which was not replaced.
void test_aligned_forms()
{
    constexpr std::align_val_t wide{64};
    const long before = allocated;

    operator delete(operator new(100, wide), wide);
    operator delete[](operator new[](100, wide, std::nothrow), wide);
    CHECK(allocated == before);
}

// Its buffer comes from the nothrow form of new and goes to the plain one of delete.
void test_stable_sort()
{
    const long before = live;
    std::vector<int> numbers;

    for (int i = 0; i < 10000; i++)
        numbers.push_back(i * 7919 % 10007);
    std::stable_sort(numbers.begin(), numbers.end());
    CHECK(std::is_sorted(numbers.begin(), numbers.end()));
    CHECK(live == before + 1);
}

} // namespace

int main()
{
    test_library_uses_them();
    test_other_forms();
    test_aligned_forms();
    test_stable_sort();
    return 0;
}
