// checks.cpp - what new made goes to another family's free, or to a delete of another size or
// alignment. The same table of pairs, each with its own, is the correct twin: nothing is told.
#include "misuse.h"

#include <cstdlib>
#include <new>

// Not every compiler declares these by itself.
void operator delete(void *, std::size_t) noexcept;
void operator delete[](void *, std::size_t) noexcept;
void operator delete(void *, std::size_t, std::align_val_t) noexcept;
void operator delete[](void *, std::size_t, std::align_val_t) noexcept;

namespace
{

constexpr std::size_t SIZE = 40;
constexpr std::align_val_t ALIGNMENT{64};

void *published(void *block)
{
    publish_pointer("PTR", block);
    return hidden(block);
}

} // namespace

// A case each; errno must survive.
#define PAIR(function, made, wrong)                                                                \
    void function()                                                                                \
    {                                                                                              \
        void *block = published(made);                                                             \
                                                                                                   \
        BAD_CALL(wrong);                                                                           \
    }

extern "C" {

PAIR(malloc_delete, std::malloc(SIZE), ::operator delete(block))
PAIR(malloc_delete_array, std::malloc(SIZE), ::operator delete[](block))
PAIR(new_free, ::operator new(SIZE), std::free(block))
PAIR(new_delete_array, ::operator new(SIZE), ::operator delete[](block))
PAIR(new_array_delete, ::operator new[](SIZE), ::operator delete(block))
PAIR(new_array_free, ::operator new[](SIZE), std::free(block))
PAIR(new_free_forwarded, ::operator new(LARGE), std::free(block))
PAIR(aligned_new_delete, ::operator new(SIZE, ALIGNMENT), ::operator delete(block))
PAIR(new_aligned_delete, ::operator new(SIZE), ::operator delete(block, ALIGNMENT))
PAIR(aligned_new_of_another, ::operator new(SIZE, ALIGNMENT),
     ::operator delete (block, std::align_val_t{32}))
PAIR(sized_delete, ::operator new(SIZE), ::operator delete(block, SIZE + 8))
PAIR(sized_delete_array, ::operator new[](SIZE), ::operator delete[](block, SIZE - 8))
PAIR(sized_delete_forwarded, ::operator new(LARGE),
     ::operator delete (block, std::size_t{LARGE - 1}))
PAIR(sized_delete_of_another_alignment, ::operator new(SIZE, ALIGNMENT),
     ::operator delete (block, SIZE + 1, std::align_val_t{32}))

void new_realloc()
{
    void *block = published(::operator new(SIZE));

    BAD_CALL(block = hidden(std::realloc(block, std::size_t{10 * SIZE}))); // or clang frees at once
    std::free(block);
}

// What new[] counts elements in lies before what it returns.
void delete_of_array()
{
    struct counted {
        long value = 1;

        ~counted()
        {
            value = 0;
        }
    };
    auto *array = static_cast<counted *>(hidden(new counted[4]));

    publish_pointer("PTR", array);
    BAD_CALL(delete array);
}

/* The language's own pairs, and the functions', in all sizes. */
void right_pairs()
{
    struct alignas(256) overaligned {
        char bytes[300];
    };
    struct counted {
        long value = 1;

        ~counted()
        {
            value = 0;
        }
    };

    delete static_cast<long *>(hidden(new long));
    delete[] static_cast<long *>(hidden(new long[10]));
    delete[] static_cast<counted *>(hidden(new counted[10]));
    delete static_cast<overaligned *>(hidden(new overaligned));
    delete[] static_cast<overaligned *>(hidden(new overaligned[3]));
    for (std::size_t size = 0; size < 3 * std::size_t{LARGE}; size += size / 3 + 1) {
        std::free(std::realloc(hidden(std::malloc(size)), size + 20));
        std::free(hidden(std::calloc(size, 1)));
        std::free(hidden(std::aligned_alloc(64, (size + 63) / 64 * 64)));
        ::operator delete(hidden(::operator new(size)));
        ::operator delete(hidden(::operator new(size)), size);
        ::operator delete(hidden(::operator new(size, std::nothrow)), std::nothrow);
        ::operator delete(hidden(::operator new(size, ALIGNMENT)), ALIGNMENT);
        ::operator delete(hidden(::operator new(size, ALIGNMENT)), size, ALIGNMENT);
        ::operator delete[](hidden(::operator new[](size)));
        ::operator delete[](hidden(::operator new[](size)), size);
        ::operator delete[](hidden(::operator new[](size, std::nothrow)), std::nothrow);
        ::operator delete[](hidden(::operator new[](size, ALIGNMENT)), ALIGNMENT);
        ::operator delete[](hidden(::operator new[](size, ALIGNMENT)), size, ALIGNMENT);
    }
}

} // extern "C"

#ifdef OWN_OPERATORS
// As many programs have them: all families end in malloc(), and only some are there.
void *operator new(std::size_t size)
{
    void *block = std::malloc(size);

    CHECK(block != nullptr);
    return block;
}

void operator delete(void *block) noexcept
{
    std::free(block);
}

void operator delete(void *block, std::size_t) noexcept
{
    std::free(block);
}
#endif

static const misuse_case checks[] = {
    MISUSE_CASE(malloc_delete),
    MISUSE_CASE(malloc_delete_array),
    MISUSE_CASE(new_free),
    MISUSE_CASE(new_delete_array),
    MISUSE_CASE(new_array_delete),
    MISUSE_CASE(new_array_free),
    MISUSE_CASE(new_free_forwarded),
    MISUSE_CASE(aligned_new_delete),
    MISUSE_CASE(new_aligned_delete),
    MISUSE_CASE(aligned_new_of_another),
    MISUSE_CASE(sized_delete),
    MISUSE_CASE(sized_delete_array),
    MISUSE_CASE(sized_delete_forwarded),
    MISUSE_CASE(sized_delete_of_another_alignment),
    MISUSE_CASE(new_realloc),
    MISUSE_CASE(delete_of_array),
    MISUSE_CASE(right_pairs),
};

int main(int argc, char **argv)
{
    return run_case(checks, sizeof(checks) / sizeof(checks[0]), argc, argv);
}
