/* variables.c - pointers into the stack that are freed, of functions of all shapes; a comment says
 * which variable it is. */
#include <stdlib.h>
#include <string.h>

struct request {
    char name[16];
    int number;
    char body[40];
};

/* The compiler is not to know what becomes of it, and it is there until then. */
#define DROP(pointer)                                                                              \
    do {                                                                                           \
        __asm__ volatile("" : : "r"(pointer) : "memory");                                          \
        drop(pointer);                                                                             \
        __asm__ volatile("" : : "r"(pointer) : "memory");                                          \
    } while (0)

static __attribute__((noinline)) void drop(void *pointer)
{
    free(pointer);
}

static inline __attribute__((always_inline)) void handle(int number)
{
    struct request request; /* 24 bytes inside variable request of handle, 60 bytes */
    memset(&request, number, sizeof request);
    DROP(request.body + 4);
}

static __attribute__((noinline)) void deep(char *far)
{
    char own[8]; /* variable own of deep, 8 bytes */
    DROP(own);
    DROP(far);
}

static __attribute__((noinline)) void aligned(void)
{
    _Alignas(64) char lines[128] = ""; /* in the frame of aligned */
    DROP(lines);
}

static __attribute__((noinline)) void of_any_size(size_t size)
{
    char bytes[size]; /* in the frame of of_any_size */
    DROP(bytes);
}

static __attribute__((noinline)) void nested(void)
{
    char outer[24]; /* 16 bytes inside variable outer of nested, 24 bytes */
    memset(outer, 1, sizeof outer);
    {
        int other = 4;
        __asm__ volatile("" : : "r"(&other) : "memory");
        DROP(outer + 16);
        __asm__ volatile("" : : "r"(&other) : "memory");
    }
}

int main(int count, char **arguments)
{
    char far[24]; /* 5 bytes inside variable far of main, 24 bytes */
    (void)arguments;
    {
        char inner[8]; /* variable inner of main, 8 bytes */
        DROP(inner);
    }
    handle(count);
    deep(far + 5);
    aligned();
    nested();
    of_any_size((size_t)count * 100);
    return 0;
}
