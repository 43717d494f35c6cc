/* foreign_names_lib.c - a library whose own functions have the names of all that
 * libmmshim_bounds.so stands before, but for those that a program can't be without, and take and
 * return other things. */
#include <stdarg.h>

long foreign_sum(long first, double second, va_list list);

long foreign_sum(long first, double second, va_list list)
{
    long third = va_arg(list, long);
    return first + (long)(second * 2) + third + (long)(va_arg(list, double) * 4);
}

#define OWN(name)                                                                                  \
    long own_##name(long first, double second, ...) __asm__(#name);                                \
    long own_##name(long first, double second, ...)                                                \
    {                                                                                              \
        va_list list;                                                                              \
        va_start(list, second);                                                                    \
        long sum = foreign_sum(first, second, list);                                               \
        va_end(list);                                                                              \
        return sum;                                                                                \
    }
#include "foreign_names.def"
