/* remote_free.pml - the remote-free protocol of src/slots/ (batch.c, heap.c, pins.c) and src/entry/route.c, for spin:
 * the thread that owns a batch, two threads that do not, one line that is closed and opened again.
 *
 * Each step on memory that threads share is one transition, and names the C that it stands for. The
 * owner's plain stores go through a store buffer, as on x86-64: others see them later, in order, and
 * its locked instructions and fences wait until the buffer is empty. The other threads change what
 * is shared by locked instructions only, and need none. What the owner alone looks at (queues,
 * `frees_left`, which batch to take) is left open: it may claim, collect and close whenever the words
 * allow it, which includes all that heap.c does.
 *
 * The program is handed up to BLOCKS blocks and frees each once, in any thread; with -DDOUBLE the
 * first one twice, in any two threads or in one. Checked:
 *   - an address is handed out again only when each earlier handing-out was freed, and no free
 *     that is over already is lying in wait for the new block;
 *   - a block freed once is never told as a double free; a second free is told exactly once, at its
 *     address;
 *   - no remote free is lost: a batch with remote bits comes to its owner, and is pushed once;
 *   - who comes late to a line that was closed changes nothing for the next batch there.
 *
 * -DBREAK_... leaves out a step that the argument rests on. Each must fail. */

#ifndef BLOCKS
#define BLOCKS 3
#endif
#define MOST_BLOCKS 4
#define SLOTS       2 /* of a batch */
#define SPANS       2 /* where the batch may lie */
#define OPENS       2 /* how often the line is used */
#define BUFFER      4 /* stores */
#define OTHERS      2 /* threads */

#define BIT(slot)           (1 << (slot))
#define ALL_SLOTS           (BIT(SLOTS) - 1)
#define ADDRESS(span, slot) ((span) * SLOTS + (slot))

/* --- memory --- */

byte live, remote, owner, base;
byte unit_line[SPANS];
bool pending; /* the heap's stack of pending batches: there is one batch */

/* owner */
#define NOBODY 0
#define IDLE   1
#define QUEUED 2
/* unit_line */
#define NO_LINE 0
#define LINE    1
#define GRAVE   2

/* The owner's stores that others don't see yet, by what they change. */
#define LIVE  0
#define FIELD 1 /* owner */
#define BASE  2
#define UNIT  3              /* + span */
#define GIVEN (UNIT + SPANS) /* + block: how the program passes a block to other threads */
chan stores = [BUFFER] of { byte, byte };
#define fenced   empty(stores)
#define has_room nfull(stores)

/* --- the program --- */

byte span_of[MOST_BLOCKS], slot_of[MOST_BLOCKS];
byte frees_left[MOST_BLOCKS];
bool given[MOST_BLOCKS];
byte blocks; /* handed out so far */
byte left;   /* frees, of all blocks */
bool enough; /* no block is asked for any more */
byte ended;  /* other threads */
bool pinned[OTHERS]; /* the line, by a thread that does not own the batch */
byte place;          /* where the next of these pins */

/* Of each address, how often so far; a free counts from its start. */
byte handed_out[SPANS * SLOTS], freed[SPANS * SLOTS], told[SPANS * SLOTS];
byte under_way[SPANS * SLOTS]; /* frees by other threads */

#define BLOCK_ADDRESS(block) ADDRESS(span_of[block], slot_of[block])

inline start_free(which)
{
    block = which;
    frees_left[block]--;
    left--;
    freed[BLOCK_ADDRESS(block)]++
}

inline tell(address)
{
#ifdef DOUBLE
    assert(address == BLOCK_ADDRESS(0));
#else
    assert(false);
#endif
    told[address]++
}

active proctype store_buffer()
{
    byte what, value;
end:
    do
    :: atomic {
        stores ? what, value ->
        if
        :: what == LIVE -> live = value
        :: what == FIELD -> owner = value
        :: what == BASE -> base = value
        :: what >= UNIT && what < GIVEN -> unit_line[what - UNIT] = value
        :: what >= GIVEN -> given[what - GIVEN] = true
        fi;
        what = 0;
        value = 0
       }
    od
}

/* push_pending(); whoever set the tag, or took the batch back with it, is the only one. */
inline push()
{
    atomic { assert(owner == QUEUED && !pending); pending = true }
}

/* --- a thread that does not own the batch --- */

/* free_slot(), mm_pin_batch(), free_remote(), mm_batch_free_remote() and what that calls. Its store of
 * the pin is followed by a fence, so that it is seen at once. */
inline free_remote()
{
    /* mm_batch_at(): unit_line */
    if
    :: atomic { unit_line[span] != LINE -> is_told = true; goto verdict }
    :: unit_line[span] == LINE
    fi;
#ifndef BREAK_PIN
    pinned[self] = true;
#endif
#ifndef BREAK_AGAIN
    if
    :: atomic { unit_line[span] != LINE -> is_told = true; goto verdict }
    :: unit_line[span] == LINE
    fi;
#endif
    /* mm_batch_slot(): base */
    assert(base == span);
    /* free_slot_of(): live */
    if
    :: atomic { !(live & mask) -> is_told = true; goto verdict }
    :: (live & mask)
    fi;
    /* mm_batch_free_remote(): live */
    if
    :: atomic { !(live & mask) -> is_told = true; goto verdict }
    :: (live & mask)
    fi;
    /* fetch_or on remote */
    if
    :: atomic { (remote & mask) -> is_told = true; goto verdict }
    :: atomic { !(remote & mask) -> remote = remote | mask }
    fi;
#ifndef BREAK_RECHECK
    if
    :: atomic { (live & mask) -> goto queue }
    :: !(live & mask)
    fi;
    /* freed_twice(): live, remote, swap_words() */
    do
    :: seen = live;
        if
        :: atomic { (seen & mask) || !(remote & mask) -> break }
        :: atomic { !(seen & mask) && (remote & mask) -> seen_remote = remote }
        fi;
        if
        :: atomic {
            live == seen && remote == seen_remote ->
            remote = remote & ~mask;
            is_told = true;
            break
           }
        :: !(live == seen && remote == seen_remote)
        fi
    od;
#endif
    /* queue(): the tag, by compare and swap */
queue:
    if
    :: owner != IDLE
    :: atomic { owner == IDLE -> owner = QUEUED };
        pinned[self] = false; /* mm_pin_drop() */
        push()
    fi;
verdict:
    atomic {
        pinned[self] = false;
        if
        :: is_told -> tell(BLOCK_ADDRESS(block))
        :: else
        fi;
        under_way[BLOCK_ADDRESS(block)]--
    }
}

#define KNOWS(block) (given[block] && frees_left[block] > 0)

active [OTHERS] proctype other()
{
    byte block, span, mask, seen, seen_remote, self;
    bool is_told;
    atomic { self = place; place++ };
    do
    :: atomic {
        if
        :: KNOWS(0) -> start_free(0)
        :: KNOWS(1) -> start_free(1)
        :: KNOWS(2) -> start_free(2)
        :: KNOWS(3) -> start_free(3)
        fi;
        under_way[BLOCK_ADDRESS(block)]++;
        span = span_of[block];
        mask = BIT(slot_of[block])
       };
        free_remote();
        d_step { block = 0; span = 0; mask = 0; seen = 0; seen_remote = 0; is_told = false }
    :: atomic { enough && left == 0 -> ended++; break }
    od
}

/* --- the owner --- */

/* What it last stored; its own loads see that. */
byte own_live, own_base;
bool is_open;
byte opens;
byte claimed;

/* mm_spans_take_line(), where the line is the only one: mm_pins_take_unpinned() */
inline look_for_pins()
{
#ifdef BREAK_LOOK_FENCE
    skip;
#else
    fenced;
#endif
#ifndef BREAK_LOOK
    !pinned[0];
    !pinned[1];
#endif
}

/* mm_batch_open() */
inline open_batch()
{
    look_for_pins();
    atomic {
        assert(remote == 0);
        opens++;
        is_open = true;
        own_live = 0;
        if
        :: own_base = 0
        :: own_base = 1
        fi
    };
    stores ! LIVE, 0;
    stores ! FIELD, IDLE;
    stores ! BASE, own_base;
    stores ! UNIT + own_base, LINE
}

/* mm_batch_free_slots(), mm_batch_claim() */
inline claim()
{
#ifdef BREAK_FENCE
    claimed = ~(own_live | remote) & ALL_SLOTS
#else
    atomic { fenced -> claimed = ~(own_live | remote) & ALL_SLOTS }
#endif
}

/* mm_bin_pop(), and then the program may pass the block on */
inline pop()
{
    atomic {
        has_room ->
        slot = (claimed & 1 -> 0 : 1);
        claimed = claimed & ~BIT(slot);
        own_live = own_live | BIT(slot);
        stores ! LIVE, own_live;
        span_of[blocks] = own_base;
        slot_of[blocks] = slot;
        assert(handed_out[BLOCK_ADDRESS(blocks)] + told[BLOCK_ADDRESS(blocks)] <=
               freed[BLOCK_ADDRESS(blocks)]);
        assert(!(remote & BIT(slot)) || under_way[BLOCK_ADDRESS(blocks)] > 0);
        handed_out[BLOCK_ADDRESS(blocks)]++;
        frees_left[blocks] = 1;
#ifdef DOUBLE
        if
        :: blocks == 0 -> frees_left[0] = 2
        :: else
        fi;
#endif
        left = left + frees_left[blocks];
        blocks++;
        slot = 0
    };
    stores ! GIVEN + blocks - 1, 1
}

inline store_freed()
{
    atomic { has_room -> own_live = own_live & ~mask; stores ! LIVE, own_live }
}

/* What mm_free_slow() waits for before it believes a remote bit of a live slot. */
#ifdef BREAK_OWN
#define own_fenced true
#else
#define own_fenced fenced
#endif

/* mm_free_fast(), and free_own() when the tag is set. As long as NOBODY is seen, the owner's own
 * store of IDLE is still on its way. */
inline free_own()
{
    mask = BIT(slot_of[block]);
    if
    :: !(is_open && own_base == span_of[block] && (own_live & mask)) ->
        atomic { tell(BLOCK_ADDRESS(block)) }
    :: is_open && own_base == span_of[block] && (own_live & mask) ->
        if
        :: owner != QUEUED -> store_freed()
        :: owner == QUEUED ->
            if
            :: !(remote & mask) -> store_freed()
            :: (remote & mask) ->
                if
                :: atomic { own_fenced && (remote & mask) -> tell(BLOCK_ADDRESS(block)) }
                :: own_fenced && !(remote & mask) -> store_freed()
                fi
            fi
        fi
    fi;
    d_step { mask = 0; block = 0 }
}

#ifdef BREAK_CLOSE
#define nobody_is_late true
#else
#define nobody_is_late (remote == 0)
#endif

/* mm_batch_close() and try_close() */
inline close_batch()
{
    if
    :: owner != IDLE /* MM_CLOSE_LATER */
    :: atomic { owner == IDLE -> owner = NOBODY };
        if
        :: atomic { !nobody_is_late -> owner = QUEUED };
            push()
        :: atomic { nobody_is_late -> is_open = false; claimed = 0 };
            stores ! UNIT + own_base, GRAVE
        fi
    fi
}

/* collect_pending() and mm_batch_collect() */
inline collect()
{
    atomic { fenced -> pending = false; assert(is_open) };
#ifndef BREAK_TAG
    owner = IDLE;
#endif
#ifdef BREAK_WORDS
    atomic { seen = remote; twice = seen & ~own_live };
    atomic { own_live = own_live & ~seen; live = own_live };
    remote = remote & ~seen;
#else
    do
    :: atomic { remote == 0 -> break }
    :: atomic { remote != 0 -> seen = remote };
        if
        :: atomic {
            remote == seen ->
            twice = seen & ~own_live;
            own_live = own_live & ~seen;
            live = own_live;
            remote = 0;
            break
           }
        :: remote != seen
        fi
    od;
#endif
#ifdef BREAK_TAG
    owner = IDLE;
#endif
    /* tell_twice() */
    atomic {
        if
        :: (twice & 1) -> tell(ADDRESS(own_base, 0))
        :: else
        fi;
        if
        :: (twice & 2) -> tell(ADDRESS(own_base, 1))
        :: else
        fi;
        seen = 0;
        twice = 0
    }
}

#define wants_more  (!enough && blocks < BLOCKS)
#define OWNS(block) (block < blocks && frees_left[block] > 0)

active proctype heap()
{
    byte block, slot, mask, seen, twice;
    do
    :: wants_more && claimed != 0 -> pop()
    :: wants_more && claimed == 0 && is_open -> claim()
    :: wants_more && !is_open && opens < OPENS -> open_batch()
    :: atomic {
        if
        :: OWNS(0) -> start_free(0)
        :: OWNS(1) -> start_free(1)
        :: OWNS(2) -> start_free(2)
        :: OWNS(3) -> start_free(3)
        fi
       };
        free_own()
    :: pending -> collect()
    :: is_open && own_live == 0 && fenced -> close_batch()
    :: !enough -> enough = true
    :: atomic { enough && left == 0 && ended == OTHERS && fenced -> break }
    od;

    assert(remote == 0 || (owner == QUEUED && pending));
    if
    :: pending -> collect()
    :: else
    fi;
    assert(remote == 0 && own_live == 0);
    d_step {
        block = 0;
        do
        :: block < SPANS * SLOTS ->
            assert(told[block] == freed[block] - handed_out[block]);
            block++
        :: else -> break
        od
    }
}
