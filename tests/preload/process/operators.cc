// All 20 forms of new and delete, and what a new does that can't be satisfied.
#include "check.h"

#include <cstdint>
#include <cstdlib>
#include <new>
#include <sys/resource.h>

namespace
{

using std::align_val_t;
using std::nothrow;

struct Form {
    void *(*allocate)(size_t size);
    void (*release)(void *block, size_t size);
    size_t alignment;
    bool throws;
};

constexpr align_val_t Wide{256};

// Each new once, and each delete at least once, with a new that it may follow.
const Form forms[] = {
    {[](size_t n) { return operator new(n); }, [](void *p, size_t) { operator delete(p); }, 16,
     true},
    {[](size_t n) { return operator new(n); }, [](void *p, size_t n) { operator delete(p, n); }, 16,
     true},
    {[](size_t n) { return operator new[](n); }, [](void *p, size_t) { operator delete[](p); }, 16,
     true},
    {[](size_t n) { return operator new[](n); }, [](void *p, size_t n) { operator delete[](p, n); },
     16, true},
    {[](size_t n) { return operator new(n, nothrow); },
     [](void *p, size_t) { operator delete(p, nothrow); }, 16, false},
    {[](size_t n) { return operator new[](n, nothrow); },
     [](void *p, size_t) { operator delete[](p, nothrow); }, 16, false},
    {[](size_t n) { return operator new(n, Wide); },
     [](void *p, size_t) { operator delete(p, Wide); }, 256, true},
    {[](size_t n) { return operator new(n, Wide); },
     [](void *p, size_t n) { operator delete(p, n, Wide); }, 256, true},
    {[](size_t n) { return operator new[](n, Wide); },
     [](void *p, size_t) { operator delete[](p, Wide); }, 256, true},
    {[](size_t n) { return operator new[](n, Wide); },
     [](void *p, size_t n) { operator delete[](p, n, Wide); }, 256, true},
    {[](size_t n) { return operator new(n, Wide, nothrow); },
     [](void *p, size_t) { operator delete(p, Wide, nothrow); }, 256, false},
    {[](size_t n) { return operator new[](n, Wide, nothrow); },
     [](void *p, size_t) { operator delete[](p, Wide, nothrow); }, 256, false},
};

// Not constants, or the compiler would refuse them first.
volatile size_t too_large = static_cast<size_t>(PTRDIFF_MAX) + 1;
volatile size_t huge = size_t{1} << 60;

void test_blocks(const Form &form)
{
    for (size_t size = 0; size < 200000; size += size / 5 + 1) {
        void *one = form.allocate(size);
        void *two = form.allocate(size);

        CHECK(one != nullptr && two != nullptr && one != two);
        CHECK(reinterpret_cast<uintptr_t>(hide(one)) % form.alignment == 0);
        CHECK(reinterpret_cast<uintptr_t>(hide(two)) % form.alignment == 0);
        fill(one, size, 1);
        fill(two, size, 2);
        CHECK(filled(one, size, 1));
        form.release(hide(one), size);
        CHECK(filled(two, size, 2));
        form.release(hide(two), size);
    }
    form.release(nullptr, 8);
}

unsigned handler_calls;

void give_up_after_three()
{
    if (++handler_calls == 3)
        std::set_new_handler(nullptr);
}

struct Own_error {
};

void throw_own_error()
{
    throw Own_error();
}

enum class Outcome { block, null, bad_alloc, own_error };

Outcome try_to_allocate(const Form &form, size_t size)
{
    try {
        void *block = form.allocate(size);

        if (block == nullptr)
            return Outcome::null;
        form.release(block, size);
        return Outcome::block;
    } catch (const std::bad_alloc &) {
        return Outcome::bad_alloc;
    } catch (const Own_error &) {
        return Outcome::own_error;
    }
}

// A throwing handler is not tried with the nothrow forms: only std::bad_alloc may come from one
// that they call.
void test_refused(const Form &form, size_t size)
{
    const Outcome refused = form.throws ? Outcome::bad_alloc : Outcome::null;

    CHECK(try_to_allocate(form, size) == refused);
    handler_calls = 0;
    std::set_new_handler(give_up_after_three);
    CHECK(try_to_allocate(form, size) == refused);
    CHECK(handler_calls == 3);
    CHECK(std::get_new_handler() == nullptr);
    if (form.throws) {
        std::set_new_handler(throw_own_error);
        CHECK(try_to_allocate(form, size) == Outcome::own_error);
        std::set_new_handler(nullptr);
    }
}

rlimit no_limit;

void lift_limit()
{
    handler_calls++;
    CHECK(setrlimit(RLIMIT_AS, &no_limit) == 0);
}

// A handler that finds memory: the request is then satisfied.
void test_handler_helps(const Form &form)
{
    rlimit limit;

    CHECK(getrlimit(RLIMIT_AS, &no_limit) == 0);
    limit = no_limit;
    limit.rlim_cur = size_t{256} << 20;
    handler_calls = 0;
    std::set_new_handler(lift_limit);
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(try_to_allocate(form, size_t{300} << 20) == Outcome::block);
    CHECK(handler_calls == 1);
    std::set_new_handler(nullptr);
}

struct alignas(128) Over_aligned {
    unsigned char bytes[200];
    unsigned *destroyed = nullptr;
    ~Over_aligned()
    {
        if (destroyed != nullptr)
            ++*destroyed;
    }
};

void test_expressions()
{
    unsigned destroyed = 0;
    Over_aligned *one = new Over_aligned;
    Over_aligned *many = new Over_aligned[10];

    CHECK(reinterpret_cast<uintptr_t>(hide(one)) % 128 == 0);
    CHECK(reinterpret_cast<uintptr_t>(hide(many)) % 128 == 0);
    one->destroyed = &destroyed;
    for (int i = 0; i < 10; i++)
        many[i].destroyed = &destroyed;
    delete one;
    delete[] many;
    CHECK(destroyed == 11);

    bool refused = false;
    try {
        hide(new int[huge]);
    } catch (const std::bad_alloc &) {
        refused = true;
    }
    CHECK(refused);
}

} // namespace

int main()
{
    for (const Form &form : forms) {
        test_blocks(form);
        test_refused(form, too_large);
        test_refused(form, huge);
        test_refused(form, SIZE_MAX - 4096); // beyond, libstdc++ rounds an aligned one up to 0
        test_handler_helps(form);
    }
    test_expressions();
    return 0;
}
