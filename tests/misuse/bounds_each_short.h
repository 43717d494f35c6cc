/* bounds_each_short.h - what several cases of bounds_each_*.def are made of, by CASE_AS() alone. */
#ifndef BOUNDS_EACH_SHORT_H
#define BOUNDS_EACH_SHORT_H

#define OVER            "overflow"
#define READ            "over-read"
#define UNPACKED(...)   __VA_ARGS__
#define AND_WHOLE(...)  (__VA_ARGS__, SIZE_MAX)
#define AND_LOCALE(...) (__VA_ARGS__, plain_locale)

/* CASE(name, kind, statements): what is done with `extra` more than fits. */
#define CASE(name, kind, ...)       CASE_AS(name, name, kind, __VA_ARGS__)
#define READ_CASE(name, ...)        CASE_AS(name##_reads, name, READ, __VA_ARGS__)
#define CALL(name, kind, arguments) CASE(name, kind, libc.name arguments)
/* What else is right, for what a row asks about. */
#define MORE(name, ...)          CASE_AS(name##_more, name, NULL, __VA_ARGS__)
#define MORE_OF(name, what, ...) CASE_AS(name##_##what, name, NULL, __VA_ARGS__)
/* A function, and its fortified one. */
#define CALL_BOTH(name, kind, arguments)                                                           \
    CALL(name, kind, arguments) CALL(__##name##_chk, kind, AND_WHOLE arguments)
#define READ_BOTH(name, arguments)                                                                 \
    READ_CASE(name, libc.name arguments)                                                           \
    READ_CASE(__##name##_chk, libc.__##name##_chk AND_WHOLE arguments)
#define MORE_BOTH(name, arguments)                                                                 \
    MORE(name, libc.name arguments) MORE(__##name##_chk, libc.__##name##_chk AND_WHOLE arguments)
#define MORE_OF_BOTH(name, what, arguments)                                                        \
    MORE_OF(name, what, libc.name arguments)                                                       \
    MORE_OF(__##name##_chk, what, libc.__##name##_chk AND_WHOLE arguments)
/* A function, and another name of it. */
#define CALL_TWO(name, alias, kind, arguments)                                                     \
    CALL(name, kind, arguments) CALL(alias, kind, arguments)
#define MORE_TWO(name, alias, arguments)                                                           \
    MORE(name, libc.name arguments) MORE(alias, libc.alias arguments)
/* A function of a locale, by both names. */
#define CALL_IN_LOCALE(name, kind, arguments)                                                      \
    CALL_TWO(name##_l, __##name##_l, kind, AND_LOCALE arguments)
#define CALL_ALSO_IN_LOCALE(name, kind, arguments)                                                 \
    CALL(name, kind, arguments) CALL_IN_LOCALE(name, kind, arguments)
/* What reads two as far as they are the same: the block is the first, or the second. */
#define COMPARE(name, ours, like, rest)                                                            \
    CALL(name, READ, (ours, like UNPACKED rest))                                                   \
    READ_CASE(name, libc.name(like, ours UNPACKED rest))
#define COMPARE_TWO(name, alias, ours, like, rest)                                                 \
    COMPARE(name, ours, like, rest) COMPARE(alias, ours, like, rest)

#endif
