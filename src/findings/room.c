/* room.c - rooms for reports, those that are set aside and those that are mapped.
 *
 * A room is its holder's alone. What a fork()'s child finds mapped for threads that it does not
 * have is lost there. */
#include "findings/room.h"

#include "system/bitmap.h"

#define ROOMS        4u
#define ROOM_WAIT_MS 10000u /* without memory for one more */

static struct mm_room rooms[ROOMS] MM_SELDOM;

static bool is_set_aside(const struct mm_room *room)
{
    return (uintptr_t)room - (uintptr_t)rooms < sizeof rooms;
}

static struct mm_room *find_room(void)
{
    for (unsigned i = 0; i < ROOMS; i++) {
        if (mm_hold_try(&rooms[i].hold))
            return &rooms[i];
    }
    return mm_os_map(sizeof(struct mm_room));
}

struct mm_room *mm_room_take(void)
{
    uint64_t give_up = mm_os_milliseconds() + ROOM_WAIT_MS;
    struct mm_room *room;
    for (unsigned round = 0; (room = find_room()) == NULL; round++) {
        if (mm_os_milliseconds() > give_up)
            return NULL;
        mm_os_wait(round);
    }
    room->sources = NULL;
    return room;
}

void mm_room_leave_sources(struct mm_room *room)
{
    if (room->sources != NULL)
        mm_symbolize_end(room->sources);
    room->sources = NULL;
}

void mm_room_give_back(struct mm_room *room)
{
    mm_room_leave_sources(room);
    if (is_set_aside(room))
        mm_hold_end(&room->hold);
    else
        mm_os_release(room, sizeof *room);
}

void mm_room_renew(void)
{
    for (unsigned i = 0; i < ROOMS; i++)
        mm_hold_renew(&rooms[i].hold);
}
