/* deepbind_lib.h - a library that allocates for the program and frees its blocks. */
#ifndef DEEPBIND_LIB_H
#define DEEPBIND_LIB_H

#include <stddef.h>

struct deepbind_lib {
    void *(*allocate)(size_t size);
    void *(*resize)(void *block, size_t size);
    void (*release)(void *block);
    char *(*copy)(const char *text); /* allocated inside of libc */
    void *malloc_it_calls;
};

#endif
