/* bounds_print.c - what is printed into memory. Owns nothing. */
#include "bounds.h"

#include <limits.h>

/* With another limit; none: as it was called. */
static int print(char *to, struct bounds_print how, size_t size, const char *format, va_list list)
{
    if (size == BOUNDS_ANY)
        return how.is_fortified ? NEXT(__vsprintf_chk)(to, how.flag, how.whole, format, list)
                                : NEXT(vsprintf)(to, format, list);
    return how.is_fortified ? NEXT(__vsnprintf_chk)(to, size, how.flag, how.whole, format, list)
                            : NEXT(vsnprintf)(to, size, format, list);
}

/* It is printed as far as there is room, which shows how long it is: what fits is done with that.
 */
int bounds_print(struct bounds_call call, char *to, struct bounds_print how, const char *format,
                 va_list list)
{
    size_t room = bounds_room(call, to);
    if (mm_likely(room >= how.size))
        return print(to, how, how.size, format, list);
    if (how.is_fortified && room > how.whole)
        room = how.whole;
    va_list again;
    va_copy(again, list);
    int result = print(to, how, bounds_least(room, INT_MAX), format, again);
    va_end(again);
    if (result < 0 || (size_t)result < room)
        return result;
    bounds_use(call, to, bounds_least((size_t)result + 1, how.size), BOUNDS_WRITES);
    return print(to, how, how.size, format, list);
}

/* Of wide characters it is not told how long what did not fit would have been. */
int bounds_wide_print(struct bounds_call call, wchar_t *to, struct bounds_print how,
                      const wchar_t *format, va_list list)
{
    OPENS(to, bounds_product(how.size, sizeof(wchar_t)))
    int result = how.is_fortified
                     ? NEXT(__vswprintf_chk)(to, how.size, how.flag, how.whole, format, list)
                     : NEXT(vswprintf)(to, how.size, format, list);
    if (result >= 0)
        bounds_use(call, to, ((size_t)result + 1) * sizeof(wchar_t), BOUNDS_WRITES);
    return result;
}
