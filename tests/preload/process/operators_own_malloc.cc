// A program in C++ with a malloc of its own: operators new and delete end in that, as libstdc++'s
// do, and a block of one may be given to the other.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <unistd.h>

namespace
{

alignas(16) char pool[1 << 20];
// A compiler may take it that operators new and delete change nothing that is read here.
volatile size_t used;
volatile int frees;

void check(bool condition, int line)
{
    if (!condition) {
        dprintf(STDERR_FILENO, "%s:%d: check failed\n", __FILE__, line);
        _exit(1);
    }
}
#define CHECK(condition) check(condition, __LINE__)

bool is_pooled(const void *block)
{
    return static_cast<const char *>(block) >= pool &&
           static_cast<const char *>(block) < pool + used;
}

template <typename T> T *hide(T *block)
{
    __asm__ volatile("" : "+r"(block));
    return block;
}

} // namespace

extern "C" __attribute__((visibility("default"))) void *malloc(size_t size)
{
    char *block = pool + used;
    used = used + ((size + 15) & ~size_t{15});
    CHECK(used <= sizeof pool);
    return block;
}

extern "C" __attribute__((visibility("default"))) void free(void *block)
{
    if (block != nullptr)
        frees = frees + 1;
}

extern "C" __attribute__((visibility("default"))) void *calloc(size_t count, size_t size)
{
    return malloc(count * size);
}

extern "C" __attribute__((visibility("default"))) void *realloc(void *block, size_t size)
{
    void *moved = malloc(size);
    if (block != nullptr)
        memcpy(moved, block, size);
    return moved;
}

int main()
{
    int *number = hide(new int), *numbers = hide(new int[100]);
    CHECK(is_pooled(number) && is_pooled(numbers) && is_pooled(hide(new (std::nothrow) int)));
    int before = frees;
    delete number;
    delete[] numbers;
    free(hide(new int));
    CHECK(frees == before + 3);
    return 0;
}
