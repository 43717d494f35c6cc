/* bounds_calls.c - the functions themselves, made from the table. Owns nothing. */
#include "bounds.h"
#include "bounds_early.h"

/* NOLINTBEGIN(bugprone-macro-parentheses, misc-unused-parameters): types, and lists that have
 * theirs; what there is none of looks at nothing. */

/* What was not found by the constructor yet, or is not there. */
#define NEED(type, name, parameters)                                                               \
    type(*next) parameters =                                                                       \
        (type(*) parameters)bounds_next_or(BOUNDS_OF_##name, (void *)nothing_##name);

#pragma GCC diagnostic ignored "-Wunused-parameter"
#define NOTHING(type, name, parameters, result)                                                    \
    static type nothing_##name parameters                                                          \
    {                                                                                              \
        return result;                                                                             \
    }

/* Where a library that comes behind us has a function of its own that only has the name, whatever
 * that takes and returns, it is gone to before anything is looked at. */
#if defined(__x86_64__)
#define GO_WHERE(name)                                                                             \
    "movq bounds_foreign_" #name "(%rip), %r11\n\ttestq %r11, %r11\n\t"                            \
    "je bounds_of_" #name "\n\tjmp *%r11\n\t"
#elif defined(__aarch64__)
#define GO_WHERE(name)                                                                             \
    "hint 34\n\tadrp x16, bounds_foreign_" #name "\n\t"                                            \
    "ldr x16, [x16, :lo12:bounds_foreign_" #name "]\n\tcbnz x16, 1f\n\t"                           \
    "b bounds_of_" #name "\n1:\tbr x16\n\t"
#endif
#define ENTRY(name)                                                                                \
    __asm__(".pushsection .text\n\t.p2align 4\n\t.globl " #name "\n\t"                             \
            ".type " #name ", %function\n" #name                                                   \
            ":\n\t.cfi_startproc\n\t" GO_WHERE(name) ".cfi_endproc\n\t.size " #name ", . - " #name \
                                                     "\n\t.popsection");

/* Ours have names of their own in C: headers give those of libc's attributes, and redirect some of
 * them to others. */
#define DEFINE(type, name, parameters)                                                             \
    ENTRY(name)                                                                                    \
    __attribute__((visibility("hidden"), used)) type bounds_of_##name parameters;                  \
    type bounds_of_##name parameters
#define DEFINE_EARLY(type, name, parameters)                                                       \
    EXPORT type bounds_of_##name parameters __asm__(#name);                                        \
    type bounds_of_##name parameters

#define SELF(name)                                                                                 \
    const struct bounds_call call = {#name, CALLER, bounds_shim()};                                \
    (void)call;

#define BOUNDS_FUNCTION(type, name, parameters, arguments, before, after)                          \
    NOTHING(type, name, parameters, (type)0)                                                       \
    DEFINE(type, name, parameters)                                                                 \
    {                                                                                              \
        NEED(type, name, parameters)                                                               \
        SELF(name)                                                                                 \
        before;                                                                                    \
        type result = next arguments;                                                              \
        after;                                                                                     \
        return result;                                                                             \
    }
/* The shim calls those, too: what it does to guards and to what is held is its own. What libc is
 * too old to have is ours to do, for who finds it here. */
#define WITH_CALLER(...) (__VA_ARGS__, const void *caller)
#define AND_CALLER(...)  (__VA_ARGS__, CALLER)
#define BOUNDS_EARLY(type, name, parameters, arguments, before, after)                             \
    __attribute__((noinline)) static type checked_##name WITH_CALLER parameters                    \
    {                                                                                              \
        type(*next) parameters = (type(*) parameters)bounds_next(BOUNDS_OF_##name);                \
        if (mm_unlikely(next == NULL))                                                             \
            return bounds_early_##name arguments;                                                  \
        const struct bounds_call call = {#name, caller, bounds_shim()};                            \
        before;                                                                                    \
        type result = next arguments;                                                              \
        after;                                                                                     \
        return result;                                                                             \
    }                                                                                              \
    DEFINE_EARLY(type, name, parameters)                                                           \
    {                                                                                              \
        const struct shim_door *shim = bounds_shim();                                              \
        if (mm_likely(shim != NULL && (uintptr_t)CALLER - shim->start >= shim->size))              \
            return checked_##name AND_CALLER arguments;                                            \
        type(*next) parameters = (type(*) parameters)bounds_next(BOUNDS_OF_##name);                \
        return mm_likely(next != NULL) ? next arguments : bounds_early_##name arguments;           \
    }
#define WITH_WHOLE(...) (__VA_ARGS__, size_t whole)
#define AND_WHOLE(...)  (__VA_ARGS__, whole)
#define BOUNDS_FORTIFIED(type, name, parameters, arguments, before, after)                         \
    BOUNDS_FUNCTION(type, name, parameters, arguments, before, after)                              \
    BOUNDS_FUNCTION(type, __##name##_chk, WITH_WHOLE parameters, AND_WHOLE arguments, before, after)
#define BOUNDS_PROCEDURE(type, name, parameters, arguments, before, after)                         \
    NOTHING(void, name, parameters, )                                                              \
    DEFINE(void, name, parameters)                                                                 \
    {                                                                                              \
        NEED(void, name, parameters)                                                               \
        SELF(name)                                                                                 \
        before;                                                                                    \
        next arguments;                                                                            \
        after;                                                                                     \
    }
#define BOUNDS_VARIADIC(type, name, last, parameters, calls, before, after)                        \
    DEFINE(type, name, parameters)                                                                 \
    {                                                                                              \
        if (mm_unlikely(bounds_next_or(BOUNDS_OF_##name, NULL) == NULL))                           \
            return (type)-1;                                                                       \
        SELF(name)                                                                                 \
        va_list list;                                                                              \
        va_start(list, last);                                                                      \
        before;                                                                                    \
        type result = calls;                                                                       \
        after;                                                                                     \
        va_end(list);                                                                              \
        return result;                                                                             \
    }
#define BOUNDS_VARIADIC_PROCEDURE(type, name, last, parameters, calls, before)                     \
    DEFINE(void, name, parameters)                                                                 \
    {                                                                                              \
        if (mm_unlikely(bounds_next_or(BOUNDS_OF_##name, NULL) == NULL))                           \
            return;                                                                                \
        SELF(name)                                                                                 \
        va_list list;                                                                              \
        va_start(list, last);                                                                      \
        before;                                                                                    \
        calls;                                                                                     \
        va_end(list);                                                                              \
    }
#include "bounds.def"

/* NOLINTEND(bugprone-macro-parentheses, misc-unused-parameters) */
