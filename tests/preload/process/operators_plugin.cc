// A C++ library for a C program to open: there is no libstdc++ for the shim to find in the
// global scope, only the one that came with this library, or is in it.
#include <cstddef>
#include <new>
#include <string>
#include <vector>

namespace
{

int handler_calls;

void give_up_after_two()
{
    if (++handler_calls == 2)
        std::set_new_handler(nullptr);
}

bool throws_bad_alloc(size_t size, bool aligned)
{
    handler_calls = 0;
    std::set_new_handler(give_up_after_two);
    try {
        if (aligned)
            operator delete (operator new (size, std::align_val_t{64}), std::align_val_t{64});
        else
            operator delete(operator new(size));
    } catch (const std::bad_alloc &) {
        return handler_calls == 2;
    }
    return false;
}

} // namespace

// Returns the line that failed, or 0.
extern "C" __attribute__((visibility("default"))) int operators_plugin_work()
{
    volatile size_t huge = size_t{1} << 60;
    std::vector<std::string> strings;

    for (int i = 0; i < 1000; i++)
        strings.emplace_back(static_cast<size_t>(i), 'x');
    if (!throws_bad_alloc(huge, false))
        return __LINE__;
    if (!throws_bad_alloc(huge, true))
        return __LINE__;
    std::set_new_handler(give_up_after_two);
    handler_calls = 0;
    if (operator new(huge, std::nothrow) != nullptr || handler_calls != 2)
        return __LINE__;
    return 0;
}
