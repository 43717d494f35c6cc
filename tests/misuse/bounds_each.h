/* bounds_each.h - what the runner (bounds_each.c) and the cases (bounds_each_calls.c) share. */
#ifndef BOUNDS_EACH_H
#define BOUNDS_EACH_H

#include "bounds_headers.h"

#include <stdbool.h>
#include <stddef.h>

/* The functions of the table, by their names and nothing that headers make of these: what a program
 * comes by, so the library's first. */
#define WITH_WHOLE(...)                                             (__VA_ARGS__, size_t whole)
#define MEMBER(type, name, parameters)                              type(*name) parameters;
#define BOUNDS_FUNCTION(type, name, parameters, ...)                MEMBER(type, name, parameters)
#define BOUNDS_EARLY(type, name, parameters, ...)                   MEMBER(type, name, parameters)
#define BOUNDS_PROCEDURE(type, name, parameters, ...)               MEMBER(type, name, parameters)
#define BOUNDS_VARIADIC(type, name, last, prototype, ...)           MEMBER(type, name, prototype)
#define BOUNDS_VARIADIC_PROCEDURE(type, name, last, prototype, ...) MEMBER(type, name, prototype)
#define BOUNDS_FORTIFIED(type, name, parameters, ...)                                              \
    MEMBER(type, name, parameters)                                                                 \
    MEMBER(type, __##name##_chk, WITH_WHOLE parameters)
struct functions {
#include "bounds.def"
};
extern struct functions libc;

/* Where a case has its memory, and what lies there. */
enum way {
    WAY_EXACT,  /* a block that ends where the case does */
    WAY_SHORT,  /* the same with short texts, and what is searched for at its start */
    WAY_STATIC, /* memory that is not the heap's */
    WAY_LARGE,  /* a block that is larger than all that is done */
    WAYS
};

struct each {
    const char *id;       /* the function's name, with more where it has several cases */
    const char *function; /* as the table has it */
    const char *kind;     /* NULL: it does nothing wrong, once */
    void (*run)(size_t extra);
};
extern const struct each cases[];
extern const size_t case_count;

/* One unit too far where `extra` is 1. */
void run_case_in(const struct each *each, enum way way, size_t extra);
/* What a case made, which may tell what it damaged. */
void clean_up(void);

/* How a child ends whose machine has nothing to do this with; it wrote why. */
enum { STATUS_NOT_HERE = 77 };

#endif
