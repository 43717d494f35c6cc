// damages_neighbours.cpp - damages between two blocks side by side, which belong to both: told
// once, whichever is freed first.
#include "damages.h"

#include <cstdlib>
#include <initializer_list>
#include <string>

namespace
{

struct neighbours {
    void *all[64];
    char *below;
    char *above;
};

// Slots lie at the least distance.
neighbours make_neighbours(std::size_t size)
{
    neighbours made = {};

    for (void *&one : made.all) {
        one = hidden(std::malloc(size));
    }
    for (void *one : made.all) {
        for (void *other : made.all) {
            auto *below = static_cast<char *>(one);
            auto *above = static_cast<char *>(other);

            if (above > below &&
                (made.below == nullptr || above - below < made.above - made.below)) {
                made.below = below;
                made.above = above;
            }
        }
    }
    return made;
}

// Until what was freed comes again, if it is not held.
void allocate_anew(std::size_t size)
{
    for (int i = 0; i < 500; i++) {
        CHECK(hidden(std::malloc(size)) != nullptr);
    }
}

void free_all_but(const neighbours &made, const char *kept)
{
    for (void *one : made.all) {
        if (one != kept) {
            std::free(one);
        }
    }
}

enum order { BELOW_FIRST, ABOVE_FIRST, CHECKED, BELOW_ANEW, ABOVE_ANEW, ORDERS };

void damage_between(std::size_t size, int distance, int order)
{
    neighbours made = make_neighbours(size);

    publish_block(made.above);
    if (order == BELOW_ANEW) {
        free_all_but(made, made.above);
    }
    *static_cast<char *>(hidden(made.above - distance)) = 'x';
    CHECK(order != CHECKED || (mem_mngr_check() == 1 && mem_mngr_check() == 0));
    if (order == ABOVE_ANEW) {
        free_all_but(made, made.below);
    }
    if (order == BELOW_ANEW || order == ABOVE_ANEW) {
        allocate_anew(size);
    }
    if (order != BELOW_ANEW) {
        std::free(order == ABOVE_FIRST ? made.above : made.below);
    }
    if (order != ABOVE_ANEW) {
        std::free(order == ABOVE_FIRST ? made.below : made.above);
    }
    mark("found");
}

} // namespace

void check_neighbours()
{
    for (std::size_t size : std::initializer_list<std::size_t>{40, 1000}) {
        for (int distance = 1; distance <= 16; distance++) {
            for (int order = 0; order < ORDERS; order++) {
                run ran = in_own_process([&] { damage_between(size, distance, order); });

                if (ran.status != STATUS_WENT_ON || count_of(ran.text, "ERROR: ") != 1 ||
                    count_of(ran.rest, "ERROR: ") != 0) {
                    tell_failure(std::to_string(size) + " bytes, damaged " +
                                     std::to_string(distance) + " before, order " +
                                     std::to_string(order),
                                 ran);
                }
            }
        }
    }
}
