#include "start_lib.h"

typedef unsigned add_fn(unsigned number);

/* A function that ld.so finds by calling a resolver while it relocates this library. */
#define ADD(amount)                                                                                \
    static unsigned plus_##amount(unsigned number)                                                 \
    {                                                                                              \
        return number + amount;                                                                    \
    }                                                                                              \
    __attribute__((used)) static add_fn *choose_##amount(void)                                     \
    {                                                                                              \
        return plus_##amount;                                                                      \
    }                                                                                              \
    unsigned start_ifunc_add_##amount(unsigned number) __attribute__((ifunc("choose_" #amount)));

ADD(1)
ADD(2)
ADD(3)

unsigned start_ifunc_sum(unsigned number)
{
    return start_ifunc_add_1(0) + start_ifunc_add_2(0) + start_ifunc_add_3(number);
}
