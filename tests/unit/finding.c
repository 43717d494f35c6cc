/* finding.c - which names of a trace are kept, and where. */
#include "findings/finding.h"

#include "check.h"
#include <stdlib.h>
#include <string.h>

static struct mm_trace trace, again;
static struct mm_names names;

/* Two places in libc, in functions that no sanitizer has for itself, and none. */
static const void *const places[] = {(const char *)rand + 1, (const char *)ldiv + 1, NULL};

static void take(struct mm_trace *to)
{
    mm_trace_take(to, places, 3, "program", &names);
    CHECK_EQUAL(to->count, 3);
}

static void check_symbol(unsigned number)
{
    static struct mm_place_text text;
    struct mm_place place;
    mm_module_place(places[number], "program", &place, &text);
    CHECK(place.symbol != NULL);
    CHECK_TEXT(trace.frames[number].place.symbol, place.symbol);
}

static bool is_copy(const void *name)
{
    return (uintptr_t)name - (uintptr_t)names.text < names.used;
}

static void are_copied_once(void)
{
    names.used = 0;
    take(&trace);
    const struct mm_place *one = &trace.frames[0].place, *other = &trace.frames[1].place;
    check_symbol(0);
    check_symbol(1);
    CHECK(is_copy(one->symbol) && is_copy(other->symbol) && is_copy(one->module));
    CHECK(one->module == other->module && one->build_id == other->build_id);
    CHECK(one->build_id_size == 0 || is_copy(one->build_id));
    CHECK(trace.frames[2].place.module == NULL && trace.frames[2].place.symbol == NULL);
    size_t used = names.used;
    take(&again);
    CHECK_EQUAL(names.used, used);
    CHECK(again.frames[1].place.symbol == other->symbol);
}

static void take_with_left(size_t left)
{
    memset(names.text, 'n', sizeof names.text);
    names.used = sizeof names.text - left;
    names.text[names.used - 1] = '\0';
    take(&trace);
}

/* Symbols as long as compilers make them leave enough for what tells where the code is. */
static void when_full(void)
{
    const struct mm_place *place = &trace.frames[0].place;
    take_with_left(8192);
    CHECK(place->symbol == NULL && is_copy(place->module));
    take_with_left(0);
    CHECK(place->module == NULL && place->build_id_size == 0);
}

int main(void)
{
    are_copied_once();
    when_full();
    return 0;
}
