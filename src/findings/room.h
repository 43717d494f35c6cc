/* room.h - where a report is put together. A few rooms are set aside, so that a report needs no
 * memory; when these are taken, be it for as long as a reader of stderr sleeps, more are mapped,
 * one for each report that is on its way. */
#ifndef MM_ROOM_H
#define MM_ROOM_H

#include "findings/finding.h"
#include "findings/symbolize.h"

struct mm_room {
    struct mm_hold hold; /* of those set aside */
    struct mm_finding finding;
    struct mm_names names;
    struct mm_symbolize_room *sources; /* NULL: not looked up */
    char program[1024];
    char text[65536];
};

/* NULL when the system refuses memory, and all that are set aside are taken for long. */
struct mm_room *mm_room_take(void);
void mm_room_give_back(struct mm_room *room);
/* When the text is written: others may wait for a tool. */
void mm_room_leave_sources(struct mm_room *room);
/* In a fork()'s child: other threads' rooms. */
void mm_room_renew(void);

#endif
