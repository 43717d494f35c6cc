/* stop.c - see stop.h. `current` is set while threads are asked and stand; a thread's entry is its
 * own from its answer until all go on, and the caller's before and after. `inside` counts handlers,
 * which the table outlives. */
#include "leaks/stop.h"

#include "system/folder.h"
#include "system/kernel.h"
#include "system/os.h"
#include "system/out.h"
#include "system/peek.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define SIGNAL      33 /* libc's SIGSETXID */
#define PATIENCE_MS 2000u
#define MOMENT_MS   100u /* that a thread may sleep with the signal blocked */
#define ROUND_MS    1u
#define LIFE_MS     1000u /* after which a thread that stands asks for the one that it stands for */
#define LATE        64u
#define SPARE       64u /* threads that may come while others are asked */
#define TEXT        4096u
#define TASKS       "/proc/self/task"

static _Atomic(struct mm_stop *) current;
static _Atomic uint32_t inside;
static _Atomic pid_t late[LATE]; /* threads that the signal still may come to; 0: none */
static struct mm_kernel_action before;
static bool is_set; /* the handler is ours; for whoever stops */

/* --- what the system tells of a thread --- */

static size_t read_about(pid_t id, const char *what, char text[static TEXT])
{
    char path[64];
    struct mm_out out;
    mm_out_start(&out, path, sizeof path);
    mm_out_format(&out, "/proc/self/task/%u/%s", (uint64_t)id, what);
    return mm_folder_text(path, text, TEXT);
}

static const char *skip_word(const char *text)
{
    while (*text != ' ' && *text != '\0')
        text++;
    return *text == ' ' ? text + 1 : text;
}

static uintptr_t hex_of(const char *text)
{
    uintptr_t value = 0;
    if (text[0] == '0' && text[1] == 'x')
        text += 2;
    for (;; text++) {
        if (*text >= '0' && *text <= '9')
            value = value * 16 + (uintptr_t)(*text - '0');
        else if (*text >= 'a' && *text <= 'f')
            value = value * 16 + (uintptr_t)(*text - 'a') + 10;
        else
            return value;
    }
}

/* "number six arguments sp pc", "-1 sp pc" outside of a call, or "running". */
static struct mm_system_call read_call(pid_t id)
{
    char text[TEXT];
    struct mm_system_call call = {.number = -1, .seen = mm_os_milliseconds()};
    if (read_about(id, "syscall", text) == 0 || text[0] == 'r')
        return call;
    const char *at = skip_word(text);
    if (text[0] != '-') {
        call.is_known = true;
        call.number = 0;
        for (const char *digit = text; *digit >= '0' && *digit <= '9'; digit++)
            call.number = call.number * 10 + (*digit - '0');
        for (unsigned i = 0; i < 6; i++, at = skip_word(at))
            call.with[i] = hex_of(at);
    }
    call.sp = hex_of(at);
    call.pc = hex_of(skip_word(at));
    return call;
}

static const char *field(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found != NULL ? found + strlen(name) : "";
}

/* A thread that libc starts or ends blocks all signals, too, but not for long. */
enum answerable { CAN_ANSWER, CAN_SOON, CANNOT_ANSWER, IS_GONE };

static enum answerable can_answer(pid_t id)
{
    char text[TEXT];
    if (read_about(id, "status", text) == 0)
        return CAN_ANSWER; /* as far as is known */
    char state = *field(text, "\nState:\t");
    if (state == 'Z' || state == 'X')
        return IS_GONE;
    if (!(hex_of(field(text, "\nSigBlk:\t")) >> (SIGNAL - 1) & 1))
        return CAN_ANSWER;
    return state == 'S' ? CANNOT_ANSWER : CAN_SOON;
}

/* --- a call that was interrupted --- */

#if defined __x86_64__
#define STEP 2u /* bytes of the instruction */

static uintptr_t *pc_of(ucontext_t *at)
{
    return (uintptr_t *)&at->uc_mcontext.gregs[REG_RIP];
}

static uintptr_t sp_of(const ucontext_t *at)
{
    return (uintptr_t)at->uc_mcontext.gregs[REG_RSP];
}

static uintptr_t *argument_of(ucontext_t *at, unsigned number)
{
    static const int places[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
    return (uintptr_t *)&at->uc_mcontext.gregs[places[number]];
}

static bool was_interrupted(const ucontext_t *at)
{
    return at->uc_mcontext.gregs[REG_RAX] == -EINTR;
}

/* Bytes of the instruction before `end` if that takes an argument from the stack: mov, with a place
 * of 8 bits beside the stack pointer; else 0. */
static size_t size_of_load(const unsigned char *end)
{
    bool is_load =
        end[-4] == 0x8b && (end[-3] & 0xc7) == 0x44 && (end[-3] & 0x38) != 0 && end[-2] == 0x24;
    bool is_long = end[-5] == 0x48 || end[-5] == 0x4c || end[-5] == 0x44;
    return is_load ? 4 + is_long : 0;
}

/* Where nobody saw the call: libc's wrappers have `mov $number, %eax` in front of the instruction,
 * or of arguments that it takes from the stack there, as where a call can be cancelled. */
#define LOADS 2u
static long number_in_code(const ucontext_t *at)
{
    unsigned char code[5 + 5 * LOADS + STEP];
    const unsigned char *end = code + sizeof code - STEP;
    uint32_t number;
    uintptr_t pc = (uintptr_t)at->uc_mcontext.gregs[REG_RIP];
    if (mm_peek(code, pc - sizeof code, sizeof code, sizeof code) == 0 || end[0] != 0x0f ||
        end[1] != 0x05)
        return -1;
    for (unsigned i = 0; i < LOADS; i++)
        end -= size_of_load(end);
    if (end[-5] != 0xb8)
        return -1;
    memcpy(&number, end - 4, sizeof number);
    return (long)number;
}

static bool is_same(ucontext_t *at, const struct mm_system_call *call)
{
    bool same = *pc_of(at) == call->pc && sp_of(at) == call->sp;
    for (unsigned i = 0; i < 6; i++)
        same = same && *argument_of(at, i) == call->with[i];
    return same;
}

static void set_number(ucontext_t *at, long number, const struct mm_system_call *call)
{
    (void)call;
    at->uc_mcontext.gregs[REG_RAX] = number;
}
#elif defined __aarch64__
#define STEP 4u

static uintptr_t *pc_of(ucontext_t *at)
{
    return (uintptr_t *)&at->uc_mcontext.pc;
}

static uintptr_t sp_of(const ucontext_t *at)
{
    return (uintptr_t)at->uc_mcontext.sp;
}

static uintptr_t *argument_of(ucontext_t *at, unsigned number)
{
    return (uintptr_t *)&at->uc_mcontext.regs[number];
}

static bool was_interrupted(const ucontext_t *at)
{
    return (long)at->uc_mcontext.regs[0] == -EINTR;
}

/* The first argument is lost: there is none to begin with. */
static long number_in_code(const ucontext_t *at)
{
    (void)at;
    return -1;
}

static bool is_same(ucontext_t *at, const struct mm_system_call *call)
{
    bool same = *pc_of(at) == call->pc && sp_of(at) == call->sp &&
                (long)at->uc_mcontext.regs[8] == call->number;
    for (unsigned i = 1; i < 6; i++)
        same = same && *argument_of(at, i) == call->with[i];
    return same;
}

static void set_number(ucontext_t *at, long number, const struct mm_system_call *call)
{
    (void)number;
    *argument_of(at, 0) = call->with[0];
}
#endif

/* What passed since the call was seen; how long it had been under way before, nobody knows. */
static void shorten(uintptr_t *milliseconds, uint64_t passed)
{
    int left = (int)*milliseconds;
    if (left > 0)
        *milliseconds = (uint64_t)left > passed ? (uint64_t)left - passed : 0;
}

/* A sleep that told what was left goes on with that. */
static void shorten_call(ucontext_t *at, long number, uint64_t passed)
{
    switch (number) {
#ifdef SYS_poll
    case SYS_poll:
        shorten(argument_of(at, 2), passed);
        break;
#endif
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
    case SYS_epoll_pwait:
        shorten(argument_of(at, 3), passed);
        break;
    case SYS_nanosleep:
        if (*argument_of(at, 1) != 0)
            *argument_of(at, 0) = *argument_of(at, 1);
        break;
    case SYS_clock_nanosleep:
        if (*argument_of(at, 1) == 0 && *argument_of(at, 3) != 0)
            *argument_of(at, 2) = *argument_of(at, 3);
        break;
    default:
        break;
    }
}

/* A close() that was interrupted is done. */
static void put_back(ucontext_t *at, const struct mm_system_call *call)
{
    if (!was_interrupted(at))
        return;
    bool is_seen = call->is_known && is_same(at, call);
    long number = is_seen ? call->number : number_in_code(at);
    if (number < 0 || number == SYS_close)
        return;
    set_number(at, number, call);
    shorten_call(at, number, mm_os_milliseconds() - call->seen);
    *pc_of(at) -= STEP;
}

void mm_stop_put_back(void *context, uint64_t began)
{
    struct mm_system_call unknown = {.number = -1, .seen = began};
    put_back(context, &unknown);
}

/* --- in the thread that stands --- */

static void stand(struct mm_stop *stop, struct mm_thread *thread, ucontext_t *at)
{
    thread->frame = (uintptr_t)at;
    thread->sp = sp_of(at);
    thread->home = mm_os_home_stack(&thread->low);
    /* Release pairs with the acquire of who waits for it. */
    atomic_store_explicit(&thread->state, MM_THREAD_STANDS, memory_order_release);
    atomic_fetch_add(&stop->answers, 1);
    mm_kernel_futex_wake(&stop->answers, 1);
    while (atomic_load(&stop->go) == 0 &&
           (mm_kernel_futex_wait(&stop->go, 0, stop->by != 0 ? LIFE_MS : 0) ||
            !mm_kernel_has_ended(stop->by)))
        ;
    put_back(at, &thread->call);
}

static struct mm_thread *find(const struct mm_stop *stop, pid_t id)
{
    size_t count = stop != NULL ? atomic_load_explicit(&stop->count, memory_order_acquire) : 0;
    for (size_t i = 0; i < count; i++) {
        if (stop->threads[i].id == id)
            return &stop->threads[i];
    }
    return NULL;
}

const struct mm_thread *mm_stop_find(const struct mm_stop *stop, pid_t id)
{
    return find(stop, id);
}

static bool is_late(pid_t id)
{
    for (unsigned i = 0; i < LATE; i++) {
        pid_t there = id;
        if (atomic_compare_exchange_strong(&late[i], &there, 0))
            return true;
    }
    return false;
}

/* Libc's own. */
static void pass_on(int signal, siginfo_t *info, void *context)
{
    uintptr_t handler = (uintptr_t)before.handler;
    if (handler != (uintptr_t)SIG_DFL && handler != (uintptr_t)SIG_IGN)
        before.handler(signal, info, context);
}

static void answer(int signal, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    atomic_fetch_add(&inside, 1);
    pid_t id = mm_kernel_thread_id();
    struct mm_stop *stop = atomic_load(&current);
    struct mm_thread *thread = find(stop, id);
    int asked = MM_THREAD_ASKED;
    if (thread != NULL && atomic_compare_exchange_strong(&thread->state, &asked, MM_THREAD_ANSWERS))
        stand(stop, thread, context);
    else if (!is_late(id))
        pass_on(signal, info, context);
    atomic_fetch_sub(&inside, 1);
    errno = saved_errno;
}

/* --- in the one that looks --- */

static enum answerable ask(struct mm_thread *thread, bool again)
{
    enum answerable answers = again ? CAN_ANSWER : can_answer(thread->id);
    thread->call = read_call(thread->id);
    thread->sp = thread->call.sp;
    if (answers == CAN_ANSWER) {
        atomic_store(&thread->state, MM_THREAD_ASKED);
        if (!mm_kernel_tgkill(thread->id, SIGNAL))
            answers = IS_GONE;
    }
    if (answers == IS_GONE)
        atomic_store(&thread->state, MM_THREAD_GONE);
    return answers;
}

static void meet(unsigned number, void *with)
{
    struct mm_stop *stop = with;
    pid_t id = (pid_t)number;
    size_t count = atomic_load(&stop->count);
    if (id == mm_os_thread_id() || id == stop->but || find(stop, id) != NULL)
        return;
    if (count == stop->capacity) {
        stop->is_whole = false;
        return;
    }
    stop->threads[count].id = id;
    stop->threads[count].state = MM_THREAD_UNASKED; /* libc's own signal is not ours yet */
    /* Release pairs with the acquire of find(). */
    atomic_store_explicit(&stop->count, count + 1, memory_order_release);
    ask(&stop->threads[count], stop->again);
}

static bool has_answered(struct mm_thread *thread, bool is_soon)
{
    /* Acquire pairs with the release of stand(). */
    int state = atomic_load_explicit(&thread->state, memory_order_acquire);
    if (state == MM_THREAD_UNASKED) {
        enum answerable answers = ask(thread, false);
        return answers == IS_GONE || (answers == CANNOT_ANSWER && !is_soon);
    }
    if (state != MM_THREAD_ASKED)
        return state != MM_THREAD_ANSWERS;
    if (mm_kernel_tgkill(thread->id, 0) && can_answer(thread->id) != IS_GONE)
        return false;
    atomic_store(&thread->state, MM_THREAD_GONE);
    return true;
}

static bool all_have_answered(struct mm_stop *stop, bool is_soon)
{
    bool all = true;
    for (size_t i = 0; i < atomic_load(&stop->count); i++)
        all = has_answered(&stop->threads[i], is_soon) && all;
    return all;
}

static void wait_for_answers(struct mm_stop *stop, uint64_t began)
{
    for (;;) {
        uint32_t answers = atomic_load(&stop->answers);
        uint64_t passed = mm_os_milliseconds() - began;
        if (all_have_answered(stop, passed <= MOMENT_MS) || passed > stop->patience)
            return;
        mm_kernel_futex_wait(&stop->answers, answers, ROUND_MS);
    }
}

/* A call that interrupts nothing is put back all the same when its thread comes to it. */
static void leave_late(struct mm_thread *thread)
{
    for (unsigned i = 0; i < LATE; i++) {
        pid_t none = 0;
        if (atomic_compare_exchange_strong(&late[i], &none, thread->id))
            return;
    }
}

static void count_unsure(struct mm_stop *stop)
{
    for (size_t i = 0; i < atomic_load(&stop->count); i++) {
        int state = atomic_load(&stop->threads[i].state);
        stop->unsure += state == MM_THREAD_ASKED || state == MM_THREAD_UNASKED;
    }
}

static bool set_handler(void)
{
    struct mm_kernel_action ours = mm_kernel_action_of(answer), there;
    bool is_ours = mm_kernel_action(SIGNAL, NULL, &there) && there.handler == answer;
    is_set = is_ours || mm_kernel_action(SIGNAL, &ours, &before);
    return is_set;
}

static bool some_are_late(void)
{
    for (unsigned i = 0; i < LATE; i++) {
        if (atomic_load(&late[i]) != 0)
            return true;
    }
    return false;
}

static void take_handler_back(void)
{
    if (is_set && !some_are_late() && mm_kernel_action(SIGNAL, &before, NULL))
        is_set = false;
}

/* Those that are started by others meanwhile come with a next list; who stands starts none. Whoever
 * was waited for in vain is not waited for again. */
static void ask_all(struct mm_stop *stop)
{
    uint64_t began = mm_os_milliseconds();
    size_t before_list;
    do {
        before_list = atomic_load(&stop->count);
        mm_folder_numbers(TASKS, meet, stop);
        wait_for_answers(stop, began);
    } while (atomic_load(&stop->count) != before_list);
}

static bool all_have_left(void)
{
    uint64_t give_up = mm_os_milliseconds() + PATIENCE_MS;
    for (unsigned round = 0; atomic_load(&inside) != 0; round++) {
        if (mm_os_milliseconds() > give_up)
            return false;
        mm_os_wait(round);
    }
    return true;
}

static bool stop_them(struct mm_stop *stop)
{
    stop->capacity = 2 * mm_folder_numbers(TASKS, NULL, NULL) + SPARE;
    if (stop->capacity == SPARE || !set_handler())
        return false;
    stop->threads = mm_os_map(stop->capacity * sizeof *stop->threads);
    if (stop->threads == NULL) {
        take_handler_back();
        return false;
    }
    atomic_store(&current, stop);
    ask_all(stop);
    count_unsure(stop);
    return true;
}

bool mm_stop_others(struct mm_stop *stop)
{
    if (!all_have_left())
        return false;
    *stop = (struct mm_stop){.is_whole = true, .patience = PATIENCE_MS};
    return mm_os_single_threaded() || stop_them(stop);
}

bool mm_stop_all(struct mm_stop *stop, pid_t but, bool again)
{
    if (!all_have_left())
        return false;
    *stop = (struct mm_stop){.is_whole = true,
                             .by = mm_os_thread_id(),
                             .but = but,
                             .again = again,
                             .patience = MOMENT_MS};
    return stop_them(stop);
}

static void give_table_back(struct mm_stop *stop)
{
    mm_os_release(stop->threads, stop->capacity * sizeof *stop->threads);
}

/* A thread that answers only now finds that all go on. */
void mm_stop_end(struct mm_stop *stop)
{
    if (stop->threads == NULL)
        return;
    for (size_t i = 0; i < atomic_load(&stop->count); i++) {
        int asked = MM_THREAD_ASKED;
        if (atomic_compare_exchange_strong(&stop->threads[i].state, &asked, MM_THREAD_UNASKED))
            leave_late(&stop->threads[i]);
    }
    atomic_store(&stop->go, 1);
    mm_kernel_futex_wake(&stop->go, (int)stop->capacity);
    atomic_store(&current, NULL);
    if (all_have_left()) {
        give_table_back(stop);
        take_handler_back();
    }
    stop->threads = NULL;
}

/* Whoever stood, was asked or is late is the parent's. */
void mm_stop_renew(void)
{
    struct mm_stop *stop = atomic_exchange(&current, NULL);
    if (stop != NULL) {
        give_table_back(stop);
        stop->threads = NULL;
    }
    atomic_store(&inside, 0);
    for (unsigned i = 0; i < LATE; i++)
        atomic_store(&late[i], 0);
    take_handler_back();
}
