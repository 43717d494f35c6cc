/* unwinder.c - stacks as the compiler's own unwinder sees them, through frames of every kind, and
 * what a thread remembers of its last ones. Also tests cfi.c, which nothing else uses. */
#include "stacks/unwinder.h"

#include "check.h"
#include "stacks/loaded.h"
#include <alloca.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

enum { DEEP = 12 };

static struct mm_unwinder_memory *memory;
static _Atomic unsigned compared;

/* Frames of the walker's own: compilers make one call of two where they may. */
static unsigned past_walker;

/* --- against the compiler's --- */

struct reference {
    const void *frames[MM_UNWINDER_MOST];
    unsigned count;
};

static _Unwind_Reason_Code note(struct _Unwind_Context *context, void *argument)
{
    struct reference *reference = argument;
    int before = 0;
    uintptr_t address = _Unwind_GetIPInfo(context, &before);
    if (address == 0 || reference->count == MM_UNWINDER_MOST)
        return _URC_END_OF_STACK;
    reference->frames[reference->count++] = (const void *)(before ? address : address - 1);
    return _URC_NO_REASON;
}

__attribute__((noinline)) static void count_walker(void)
{
    struct reference reference = {.count = 0};
    struct mm_frames frames;
    _Unwind_Backtrace(note, &reference);
    mm_unwinder_walk(NULL, MM_UNWINDER_MOST, &frames);
    CHECK(reference.count < MM_UNWINDER_MOST && frames.count > reference.count);
    past_walker = frames.count - reference.count;
    CHECK(past_walker <= 2);
}

/* What a report takes. */
static void compare_from_caller(const struct reference *reference, const void *caller, bool exactly)
{
    struct mm_frames frames;
    mm_unwinder_walk_from(caller, MM_UNWINDER_MOST - 1, exactly, &frames);
    CHECK(frames.count == reference->count - 1 || frames.count == MM_UNWINDER_MOST - 1);
    for (unsigned i = 0; i < frames.count; i++)
        CHECK_EQUAL(frames.frames[i], reference->frames[i + 1]);
}

/* All begin here; the walker shows itself first, and the calls differ. */
__attribute__((noinline)) static void compare(void)
{
    struct reference reference = {.count = 0};
    struct mm_frames frames;
    _Unwind_Backtrace(note, &reference);
    mm_unwinder_walk(NULL, MM_UNWINDER_MOST, &frames);
    for (unsigned round = 0; round < 3; round++)
        compare_from_caller(&reference, __builtin_return_address(0), round == 0);
    CHECK(reference.count > 2);
    unsigned count = frames.count - past_walker;
    CHECK(count == reference.count || frames.count == MM_UNWINDER_MOST);
    for (unsigned i = 1; i < count; i++)
        CHECK_EQUAL(frames.frames[i + past_walker], reference.frames[i]);
    compared++;
}

#define USE(bytes) __asm__ volatile("" : : "r"(bytes) : "memory")

/* Functions whose frames are laid out in every way that compilers know. */
typedef void shape(unsigned depth);
static shape *const shapes[];
static const unsigned shape_count;

static void onward(unsigned depth)
{
    if (depth == 0)
        compare();
    else
        shapes[depth * 7 % shape_count](depth - 1);
}

__attribute__((noinline)) static void plain(unsigned depth)
{
    onward(depth);
    __asm__ volatile("");
}

__attribute__((noinline)) static void many_registers(unsigned depth)
{
    uint64_t a = depth, b = a * 3, c = b * 5, d = c * 7, e = d * 11, f = e * 13;
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
    onward(depth);
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
}

__attribute__((noinline)) static void of_variable_length(unsigned depth)
{
    char *bytes = alloca(16 * depth + 1);
    USE(bytes);
    onward(depth);
    USE(bytes);
}

__attribute__((noinline)) static void wide(unsigned depth)
{
    char bytes[100000];
    USE(bytes);
    onward(depth);
    USE(bytes);
}

/* Longer than a packed rule can say. */
__attribute__((noinline)) static void too_wide(unsigned depth)
{
    char bytes[400000];
    USE(bytes);
    onward(depth);
    USE(bytes);
}

__attribute__((noinline)) static void aligned(unsigned depth)
{
    _Alignas(128) char bytes[128];
    USE(bytes);
    onward(depth);
    USE(bytes);
}

/* With arguments on the stack, the frame's end is kept in the frame. */
__attribute__((noinline)) static uint64_t aligned_with(unsigned depth, uint64_t a, uint64_t b,
                                                       uint64_t c, uint64_t d, uint64_t e,
                                                       uint64_t f, uint64_t g)
{
    _Alignas(128) volatile uint64_t numbers[16];
    numbers[0] = a + b + c + d + e + f + g;
    char *bytes = alloca(16 * depth + 1);
    USE(bytes);
    onward(depth);
    return numbers[0] + g;
}

static void aligned_on_the_stack(unsigned depth)
{
    CHECK_EQUAL(aligned_with(depth, 1, 1, 1, 1, 1, 1, 1), 8);
}

static _Thread_local unsigned depth_in_callback;

static int in_callback(const void *left, const void *right)
{
    (void)left;
    (void)right;
    onward(depth_in_callback);
    return 0;
}

__attribute__((noinline)) static void through_libc(unsigned depth)
{
    char two[2] = {0};
    depth_in_callback = depth;
    qsort(two, sizeof two, 1, in_callback);
}

static void in_handler(int signal)
{
    (void)signal;
    onward(depth_in_callback);
}

__attribute__((noinline)) static void through_a_signal(unsigned depth)
{
    depth_in_callback = depth;
    raise(SIGUSR1);
}

/* Interrupted in a function that calls none, and so has saved nothing. */
__attribute__((noinline)) static void in_a_leaf(long process, long thread)
{
#if defined __x86_64__
    long number = SYS_tgkill;
    __asm__ volatile("syscall"
                     : "+a"(number)
                     : "D"(process), "S"(thread), "d"(SIGUSR1)
                     : "rcx", "r11", "memory");
#elif defined __aarch64__
    register long x0 __asm__("x0") = process, x1 __asm__("x1") = thread, x2 __asm__("x2") = SIGUSR1,
                     x8 __asm__("x8") = SYS_tgkill;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x8) : "memory");
#endif
}

__attribute__((noinline)) static void through_a_leaf(unsigned depth)
{
    depth_in_callback = depth;
    in_a_leaf(getpid(), syscall(SYS_gettid));
    __asm__ volatile("");
}

#ifdef __x86_64__
/* Told in words of the tables that compilers seldom use, or only of registers that do not matter
 * here; the frame pointer is lost meanwhile. */
__attribute__((used)) static void onward_from_odd_rows(unsigned depth)
{
    onward(depth);
}

shape unwinder_odd_rows;
__asm__(".text\n.type unwinder_odd_rows, @function\nunwinder_odd_rows:\n.cfi_startproc\n"
        "push %rbp\n"
        ".cfi_escape 0x13, 0x7e\n" /* DEF_CFA_OFFSET_SF: 16 */
        ".cfi_escape 0x05, 6, 2\n" /* OFFSET_EXTENDED: at CFA - 16 */
        ".cfi_remember_state\n"
        ".cfi_escape 0x06, 6\n" /* RESTORE_EXTENDED: not saved */
        ".cfi_restore_state\n"
        "push %rbx\n"
        ".cfi_escape 0x12, 7, 0x7d\n" /* DEF_CFA_SF: the stack pointer and 24 */
        ".cfi_escape 0x11, 3, 3\n"    /* OFFSET_EXTENDED_SF: at CFA - 24 */
        "sub $8, %rsp\n.cfi_def_cfa_offset 32\n"
        ".cfi_escape 0x2e, 0\n"                 /* ARGS_SIZE */
        ".cfi_escape 0x16, 12, 2, 0x7c, 0\n"    /* VAL_EXPRESSION: itself */
        ".cfi_escape 0x10, 11, 2, 0x77, 0x28\n" /* EXPRESSION: anything */
        ".cfi_same_value 13\n.cfi_register 14, 14\n.cfi_undefined 11\n.cfi_escape 0x14, 11, 1\n"
        "mov $0x0bad, %ebp\n"
        "call onward_from_odd_rows\n"
        "add $8, %rsp\n.cfi_def_cfa_offset 24\n"
        "pop %rbx\n.cfi_def_cfa_offset 16\n"
        "pop %rbp\n.cfi_def_cfa_offset 8\n"
        "ret\n.cfi_endproc\n.size unwinder_odd_rows, . - unwinder_odd_rows\n");
#endif

static shape *const shapes[] = {
#ifdef __x86_64__
    unwinder_odd_rows,
#endif
    plain,
    many_registers,
    of_variable_length,
    wide,
    too_wide,
    aligned,
    aligned_on_the_stack,
    through_libc,
    through_a_signal,
    through_a_leaf,
};
static const unsigned shape_count = sizeof shapes / sizeof shapes[0];

/* A handler on a stack of its own, where the walk goes over from one stack to the other. */
static void handle_signals(int flags)
{
    static char stack[1 << 20];
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = in_handler, .sa_flags = SA_NODEFER | flags};
    CHECK(sigaltstack(&alternative, NULL) == 0);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
}

static void in_all_shapes(unsigned number, void *unused)
{
    (void)number;
    (void)unused;
    for (unsigned depth = 0; depth < DEEP; depth++)
        onward(depth);
}

static void as_the_compiler(void)
{
    handle_signals(0);
    in_all_shapes(0, NULL);
    handle_signals(SA_ONSTACK);
    through_a_signal(0);
    through_a_leaf(0);
    CHECK(compared >= DEEP + 2); /* sanitizers compare once more in qsort() */
    handle_signals(0);
    check_in_threads(2, in_all_shapes, NULL);
    CHECK(compared >= 3 * DEEP + 2);
}

/* --- by frame pointers: this file is compiled with them --- */

static void by_frame_pointers(void)
{
    struct mm_unwinder_settings settings = {.frame_pointers = true};
    struct mm_frames by_tables, by_pointers;
    mm_unwinder_walk(NULL, 3, &by_tables);
    mm_unwinder_stop();
    CHECK(mm_unwinder_start(&settings));
    mm_unwinder_walk(NULL, MM_UNWINDER_MOST, &by_pointers);
    CHECK(by_pointers.count >= 1 && by_pointers.count < MM_UNWINDER_MOST);
    mm_unwinder_stop();
    settings.frame_pointers = false;
    CHECK(mm_unwinder_start(&settings));
}

#ifdef __x86_64__

/* --- code without tables: it may use the frame pointer as it likes --- */

static unsigned frames_in_unknown;

__attribute__((used)) static void walk_in_unknown(void)
{
    struct mm_frames frames;
    mm_unwinder_walk(NULL, MM_UNWINDER_MOST, &frames);
    frames_in_unknown = frames.count;
}

/* Keeps in it what looks like the end of a frame, but is none. */
static void through_unknown_code(void)
{
    static const unsigned char code[] = {
        0x55,                               /* push %rbp */
        0x48, 0x8d, 0x6c, 0x24, 0x08,       /* lea 8(%rsp), %rbp */
        0x48, 0x83, 0xec, 0x10,             /* sub $16, %rsp */
        0xff, 0xd7,                         /* call *%rdi */
        0x48, 0x83, 0xc4, 0x10, 0x5d, 0xc3, /* add $16, %rsp; pop %rbp; ret */
    };
    int any = PROT_READ | PROT_WRITE | PROT_EXEC;
    void *place = mmap(NULL, sizeof code, any, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(place != MAP_FAILED);
    memcpy(place, code, sizeof code);
    ((void (*)(void (*)(void)))place)(walk_in_unknown);
    CHECK(munmap(place, sizeof code) == 0);
    CHECK_EQUAL(frames_in_unknown, past_walker + 2); /* the function, and the code that called it */
}

/* --- code whose tables say what is not followed: nothing is made up of what lies there --- */

#define LOST(number, said)                                                                         \
    "unwinder_lost_" #number ":\n.cfi_startproc\nsub $8, %rsp\n.cfi_def_cfa_offset 16\n" said      \
    "\ncall walk_in_unknown\nadd $8, %rsp\nret\n.cfi_endproc\n"
__asm__(".text\n" LOST(0, ".cfi_escape 0x16, 6, 2, 0x76, 0") /* VAL_EXPRESSION, of fp */
        LOST(1, ".cfi_register 6, 3")                        /* fp in another register */
        LOST(2, ".cfi_escape 0x10, 6, 2, 0x77, 0")           /* EXPRESSION, of sp */
        LOST(3, ".cfi_escape 0x10, 6, 2, 0x76, 8")           /* of fp and 8 */
        LOST(4, ".cfi_escape 0x10, 6, 3, 0x76, 0, 6")        /* of where that points to */
        LOST(5, ".cfi_escape 0x0f, 2, 0x77, 16")             /* DEF_CFA_EXPRESSION, of sp */
        LOST(6, ".cfi_escape 0x0f, 2, 0x76, 16")             /* of fp, with no DEREF */
        LOST(7, ".cfi_escape 0x2f, 3, 0")                    /* GNU_NEGATIVE_OFFSET_EXTENDED */
        LOST(8, ".cfi_def_cfa 3, 16")                        /* CFA by another register */
        LOST(9, ".cfi_same_value 16")                        /* no return address */
        LOST(10, ".rept 9\n.cfi_remember_state\n.endr")      /* too many */
        LOST(11, ".cfi_undefined 16")                        /* the outermost */
        LOST(12, ".cfi_escape 0x14, 16, 1")                  /* VAL_OFFSET, the return address */
        LOST(13, ".cfi_def_cfa_offset 12"));                 /* not of words */

typedef void lost_function(void);
lost_function unwinder_lost_0, unwinder_lost_1, unwinder_lost_2, unwinder_lost_3, unwinder_lost_4,
    unwinder_lost_5, unwinder_lost_6, unwinder_lost_7, unwinder_lost_8, unwinder_lost_9,
    unwinder_lost_10, unwinder_lost_11, unwinder_lost_12, unwinder_lost_13;

static void through_lost_rows(void)
{
    static lost_function *const lost[] = {
        unwinder_lost_0,  unwinder_lost_1,  unwinder_lost_2,  unwinder_lost_3, unwinder_lost_4,
        unwinder_lost_5,  unwinder_lost_6,  unwinder_lost_7,  unwinder_lost_8, unwinder_lost_9,
        unwinder_lost_10, unwinder_lost_11, unwinder_lost_12, unwinder_lost_13};
    for (unsigned i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        frames_in_unknown = 0;
        lost[i]();
        CHECK_EQUAL(frames_in_unknown, past_walker + 2);
    }
}

#else

static void through_unknown_code(void)
{
}

static void through_lost_rows(void)
{
}

#endif

/* --- what is remembered --- */

__attribute__((noinline)) static uint32_t *walk_here(struct mm_frames *frames)
{
    uint32_t *place = mm_unwinder_walk(memory, MM_UNWINDER_MOST, frames);
    __asm__ volatile("");
    return place;
}

/* The same frames at the same addresses, called from two places. */
__attribute__((noinline)) static uint32_t *from_one(struct mm_frames *frames)
{
    uint32_t *place = walk_here(frames);
    __asm__ volatile("");
    return place;
}

/* What comes before and after the calls differs, or the compiler would make one of them. */
__attribute__((noinline)) static uint32_t *from_two_places(bool second, struct mm_frames *frames)
{
    uint32_t *place;
    if (second) {
        __asm__ volatile("# before the second");
        place = from_one(frames);
        __asm__ volatile("# the second");
    } else {
        __asm__ volatile("# before the first");
        place = from_one(frames);
        __asm__ volatile("# the first");
    }
    return place;
}

/* One walk, always from this line: what was noted of the same stack, 0 when it is another. */
static uint32_t walk_once(bool second, uint32_t next, struct mm_frames *frames)
{
    uint32_t *place = from_two_places(second, frames);
    CHECK(place != NULL);
    uint32_t before = *place;
    CHECK_EQUAL(before == 0, frames->count > 0);
    *place = next;
    mm_unwinder_noted(memory);
    return before;
}

/* The same from a module that may be unloaded. */
struct once {
    uint32_t next, before;
    struct mm_frames *frames;
};

static int walk_in_callback(void *with)
{
    struct once *once = with;
    once->before = walk_once(false, once->next, once->frames);
    return 0;
}

typedef int call_back(int (*function)(void *), void *with);

static uint32_t walk_through(call_back *volatile call, uint32_t next)
{
    struct mm_frames frames;
    struct once once = {.next = next, .frames = &frames};
    call(walk_in_callback, &once);
    return once.before;
}

/* What was walked through a module that may be unloaded holds until others come or go. */
static void forgetting(void)
{
    static const struct {
        bool changes;
        uint32_t next, expected;
    } steps[] = {{false, 31, 0}, {false, 32, 31}, {true, 33, 0}, {false, 34, 33}};
    void *plugin = dlopen(PLUGIN, RTLD_NOW);
    call_back *call;
    CHECK(plugin != NULL);
    *(void **)&call = dlsym(plugin, "unit_loaded_call");
    for (volatile unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (steps[i].changes)
            mm_loaded_changed();
        CHECK_EQUAL(walk_through(call, steps[i].next), steps[i].expected);
    }
    CHECK(dlclose(plugin) == 0);
}

/* --- a frame pointer that leads nowhere --- */

static bool smashes;
static unsigned seen[3]; /* frames of the three walks below */

__attribute__((noinline)) static void walk_smashed(unsigned number)
{
    volatile char bytes[9000]; /* the frame spans a page */
    void *volatile *frame = __builtin_frame_address(0);
    void *saved = frame[0];
    struct mm_frames frames;
    bytes[0] = bytes[sizeof bytes - 1] = 1;
    frame[0] = smashes ? (void *)0x10 : saved;
    uint32_t *place = mm_unwinder_walk(memory, MM_UNWINDER_MOST, &frames);
    frame[0] = saved;
    seen[number] = place != NULL && *place != 0 ? *place : frames.count;
    if (place != NULL) {
        *place = seen[number];
        mm_unwinder_noted(memory);
    }
}

/* Its frame ends by the frame pointer. */
__attribute__((noinline)) static void call_smashed(unsigned number)
{
    USE(__builtin_frame_address(0));
    walk_smashed(number);
    __asm__ volatile("");
}

/* What was cut short is not taken for the whole stack afterwards, though all else is the same. */
static void smash(void)
{
    struct mm_unwinder_memory *kept = memory;
    for (volatile unsigned number = 0; number < 3; number++) {
        memory = number == 0 ? NULL : kept;
        smashes = number == 1;
        call_smashed(number);
    }
    CHECK(seen[0] > 2);
    CHECK_EQUAL(seen[2], seen[0]);
}

static ucontext_t before, aside;

static void smash_aside(void)
{
    for (volatile unsigned i = 0; i < 3; i++)
        smash();
}

static void frame_pointers_that_are_smashed(void)
{
    static char stack[1 << 16];
    smash();
    CHECK(getcontext(&aside) == 0);
    aside.uc_stack.ss_sp = stack;
    aside.uc_stack.ss_size = sizeof stack;
    aside.uc_link = &before;
    makecontext(&aside, smash_aside, 0);
    CHECK(swapcontext(&before, &aside) == 0);
}

struct step {
    bool second, changes;
    uint32_t next, expected;
};

/* While a place is somebody's, a signal handler leaves it alone. */
static void before_it_is_noted(void)
{
    struct mm_frames frames, others;
    uint32_t *place = walk_here(&frames);
    CHECK(place != NULL);
    CHECK(walk_here(&others) == NULL && others.count > 0);
    mm_unwinder_noted(memory);
    CHECK(walk_here(&others) != NULL);
    mm_unwinder_noted(memory);
}

static void remembering(void)
{
    /* Of the two ways only one return address is different, and that in the middle. */
    static const struct step steps[] = {
        {false, false, 17, 0}, {false, false, 18, 17}, {false, false, 19, 18},
        {true, false, 20, 0},  {false, false, 21, 19}, {true, false, 22, 20},
        {true, false, 23, 22}, {true, true, 24, 23},
    };
    struct mm_frames one = {.count = 0}, other = {.count = 0};
    for (volatile unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (steps[i].changes)
            mm_loaded_changed();
        struct mm_frames *frames = steps[i].second ? &other : &one;
        CHECK_EQUAL(walk_once(steps[i].second, steps[i].next, frames), steps[i].expected);
    }
    CHECK(one.frames[2] == other.frames[2] && one.frames[3] != other.frames[3]);
    CHECK(one.frames[4] == other.frames[4]);
}

/* Callers of a function that aligns its stack can look the same from it but for where its frame
 * ends: some find another's return address in a variable of their own. */
typedef uint32_t *caller(struct mm_frames *frames);

__attribute__((noinline)) static uint32_t *walk_aligned(struct mm_frames *frames, uint64_t a,
                                                        uint64_t b, uint64_t c, uint64_t d,
                                                        uint64_t e, uint64_t f, uint64_t size)
{
    _Alignas(128) char bytes[128];
    USE(bytes);
    USE(alloca(size + a + b + c + d + e + f));
    return walk_here(frames);
}

#define CALLER(size)                                                                               \
    __attribute__((noinline)) static uint32_t *caller_##size(struct mm_frames *frames)             \
    {                                                                                              \
        char bytes[size];                                                                          \
        USE(bytes);                                                                                \
        uint32_t *place = walk_aligned(frames, 1, 1, 1, 1, 1, 1, 14);                              \
        USE(bytes);                                                                                \
        return place;                                                                              \
    }
CALLER(8)
CALLER(24)
CALLER(40)
CALLER(56)
CALLER(72)
CALLER(88)
#undef CALLER

static void callers_of_aligned(void)
{
    static caller *const volatile callers[] = {caller_8,  caller_24, caller_40,
                                               caller_56, caller_72, caller_88};
    struct mm_frames frames;
    for (uint32_t i = 0; i < sizeof callers / sizeof callers[0]; i++) {
        uint32_t *place = callers[i](&frames);
        CHECK(place != NULL);
        CHECK_EQUAL(*place, 0);
        *place = i + 1;
        mm_unwinder_noted(memory);
    }
}

static void no_more_than_wanted(void)
{
    struct mm_frames frames;
    mm_unwinder_walk(NULL, 1, &frames);
    CHECK_EQUAL(frames.count, 1);
    mm_unwinder_walk(NULL, 2, &frames);
    CHECK_EQUAL(frames.count, 2);
    mm_unwinder_walk_from(__builtin_return_address(0), 1, true, &frames);
    CHECK_EQUAL(frames.count, 1);
    mm_unwinder_walk_from(NULL, 1, true, &frames);
    CHECK_EQUAL(frames.count, 0);
    static const char nowhere[2];
    mm_unwinder_walk_from(&nowhere[1], MM_UNWINDER_MOST, false, &frames);
    CHECK_EQUAL(frames.count, 1);
    CHECK_EQUAL(frames.frames[0], nowhere);
}

static __attribute__((noinline, no_sanitize_address)) bool
find_around(const char *local, struct mm_unwinder_frame *frame)
{
    volatile char of_its_own = 0;
    const void *back = __builtin_return_address(0);
    CHECK(!mm_unwinder_frame_around(back, (uintptr_t)&of_its_own, frame));
    return mm_unwinder_frame_around(back, (uintptr_t)local, frame);
}

static void frames_of_variables(void);

/* Where a variable lies: `near` in this frame, `far` in the caller's. */
static __attribute__((noinline, no_sanitize_address)) void check_around(const char *far)
{
    char near[64] = "";
    struct mm_unwinder_frame frame, next;
    CHECK(find_around(&near[10], &frame) && find_around(&near[11], &next));
    CHECK(frame.offset < 0 && next.offset == frame.offset + 1);
    CHECK((uintptr_t)frame.pc - (uintptr_t)check_around < 4096);
    CHECK(find_around(far, &frame));
    CHECK((uintptr_t)frame.pc - (uintptr_t)frames_of_variables < 4096);
    CHECK(!find_around((const char *)&memory, &frame));
    CHECK(!find_around((const char *)UINTPTR_MAX, &frame));
}

static __attribute__((noinline, no_sanitize_address)) void frames_of_variables(void)
{
    char far[64] = "";
    check_around(far);
    __asm__ volatile("" : : "r"(far) : "memory"); /* no tail call: it is there until then */
}

int main(void)
{
    struct mm_unwinder_settings settings = {.own = NULL};
    CHECK(mm_unwinder_start(&settings));
    memory = calloc(1, mm_unwinder_memory_size);
    CHECK(memory != NULL);
    mm_unwinder_thread_starts(memory);
    count_walker();
    as_the_compiler();
    through_unknown_code();
    through_lost_rows();
    before_it_is_noted();
    frame_pointers_that_are_smashed();
    remembering();
    forgetting();
    callers_of_aligned();
    no_more_than_wanted();
    frames_of_variables();
    by_frame_pointers();
    mm_unwinder_stop();
    free(memory);
    return 0;
}
