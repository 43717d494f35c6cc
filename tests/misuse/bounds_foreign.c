/* bounds_foreign.c - a library that has functions of the names in libmmshim_bounds.so's table. They
 * do what libc's do, but who finds them can't know: they are not to be looked at. */
#include "bounds_headers.h"

#include <dlfcn.h>

/* Not the next one: who stands before dlsym() may be taken for who asks. */
static void *of_libc(const char *name)
{
    void *handle = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    return handle != NULL ? dlsym(handle, name) : NULL;
}

#define WITH_WHOLE(...) (__VA_ARGS__, size_t whole)
#define AND_WHOLE(...)  (__VA_ARGS__, whole)
#define DEFINE(type, name, parameters)                                                             \
    __attribute__((visibility("default"))) type foreign_##name parameters __asm__(#name);          \
    type foreign_##name parameters                                                                 \
    {                                                                                              \
        static type(*next) parameters;                                                             \
        if (next == NULL)                                                                          \
            next = (type(*) parameters)of_libc(#name);
#define BOUNDS_FUNCTION(type, name, parameters, arguments, ...)                                    \
    DEFINE(type, name, parameters)                                                                 \
    return next != NULL ? next arguments : (type)0;                                                \
    }
#define BOUNDS_PROCEDURE(type, name, parameters, arguments, ...)                                   \
    DEFINE(type, name, parameters)                                                                 \
    next arguments;                                                                                \
    }
#define BOUNDS_FORTIFIED(type, name, parameters, arguments, ...)                                   \
    BOUNDS_FUNCTION(type, name, parameters, arguments, )                                           \
    BOUNDS_FUNCTION(type, __##name##_chk, WITH_WHOLE parameters, AND_WHOLE arguments, )
/* Those are looked at whoever's they are. */
#define BOUNDS_EARLY(type, name, ...)
#define BOUNDS_VARIADIC(type, name, ...)
#define BOUNDS_VARIADIC_PROCEDURE(type, name, ...)
#include "bounds.def"
