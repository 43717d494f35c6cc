/* operators.cpp - each of the twelve operators delete frees badly once, and so do destructors. */
#include "misuse.h"

#include <new>

// Not every compiler declares these by itself.
void operator delete(void *, std::size_t) noexcept;
void operator delete[](void *, std::size_t) noexcept;
void operator delete(void *, std::size_t, std::align_val_t) noexcept;
void operator delete[](void *, std::size_t, std::align_val_t) noexcept;

namespace
{

void *freed_block()
{
    void *block = hidden(::operator new(SMALL));
    void *old = hidden(block);

    ::operator delete(block);
    return old;
}

} // namespace

extern "C" {

#define DELETE_BADLY(function, ...)                                                                \
    void function(void *ptr)                                                                       \
    {                                                                                              \
        BAD_CALL(__VA_ARGS__);                                                                     \
    }

constexpr std::align_val_t alignment{16};

DELETE_BADLY(delete_plain, ::operator delete(hidden(ptr)))
DELETE_BADLY(delete_nothrow, ::operator delete(hidden(ptr), std::nothrow))
DELETE_BADLY(delete_sized, ::operator delete (hidden(ptr), std::size_t{SMALL}))
DELETE_BADLY(delete_aligned, ::operator delete(hidden(ptr), alignment))
DELETE_BADLY(delete_aligned_nothrow, ::operator delete(hidden(ptr), alignment, std::nothrow))
DELETE_BADLY(delete_sized_aligned, ::operator delete (hidden(ptr), std::size_t{SMALL}, alignment))
DELETE_BADLY(delete_array, ::operator delete[](hidden(ptr)))
DELETE_BADLY(delete_array_nothrow, ::operator delete[](hidden(ptr), std::nothrow))
DELETE_BADLY(delete_array_sized, ::operator delete[](hidden(ptr), std::size_t{SMALL}))
DELETE_BADLY(delete_array_aligned, ::operator delete[](hidden(ptr), alignment))
DELETE_BADLY(delete_array_aligned_nothrow,
             ::operator delete[](hidden(ptr), alignment, std::nothrow))
DELETE_BADLY(delete_array_sized_aligned,
             ::operator delete[](hidden(ptr), std::size_t{SMALL}, alignment))

void every_operator_delete()
{
    void *ptr = freed_block();

    publish_pointer("PTR", ptr);
    delete_plain(ptr);
    delete_nothrow(ptr);
    delete_sized(ptr);
    delete_aligned(ptr);
    delete_aligned_nothrow(ptr);
    delete_sized_aligned(ptr);
    delete_array(ptr);
    delete_array_nothrow(ptr);
    delete_array_sized(ptr);
    delete_array_aligned(ptr);
    delete_array_aligned_nothrow(ptr);
    delete_array_sized_aligned(ptr);
}

void delete_of_null()
{
    errno = ERRNO_KEPT;
    ::operator delete(hidden(nullptr));
    ::operator delete[](hidden(nullptr));
    ::operator delete(hidden(nullptr), alignment);
    CHECK(errno == ERRNO_KEPT);
}

/* What the language's own delete makes of a pointer that new did not return. */
void delete_expression()
{
    struct pair {
        long first;
        long second;
    };
    auto *pairs = static_cast<pair *>(hidden(new pair[4]));
    auto *inside = static_cast<pair *>(hidden(&pairs[1]));

    publish_pointer("PTR", inside);
    BAD_CALL(delete inside);
    delete[] pairs;
}

} // extern "C"

struct holder {
    void *held = nullptr;

    ~holder();
};

__attribute__((noinline)) holder::~holder()
{
    if (held != nullptr) {
        delete_plain(held);
    }
}

namespace
{

holder in_static_storage;

} // namespace

extern "C" {

void in_a_static_destructor()
{
    in_static_storage.held = freed_block();
    publish_pointer("PTR", in_static_storage.held);
}

void hold_in_thread(void *)
{
    static thread_local holder in_thread_storage;

    in_thread_storage.held = freed_block();
    publish_pointer("PTR", in_thread_storage.held);
}

void in_a_thread_local_destructor()
{
    worker worker;

    worker_start(&worker, "ending", hold_in_thread, nullptr);
    worker_finish(&worker);
}

} // extern "C"

static const misuse_case operators[] = {
    MISUSE_CASE(every_operator_delete),
    MISUSE_CASE(delete_of_null),
    MISUSE_CASE(delete_expression),
    MISUSE_CASE(in_a_static_destructor),
    MISUSE_CASE(in_a_thread_local_destructor),
};

int main(int argc, char **argv)
{
    return run_case(operators, sizeof(operators) / sizeof(operators[0]), argc, argv);
}
