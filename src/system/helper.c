/* helper.c - see helper.h. All state is the caller's struct mm_helper, which is to stay until the
 * helper has ended. */
#include "system/helper.h"

#include "system/kernel.h"
#include "system/libc.h"
#include "system/os.h"
#include <errno.h>
#include <sched.h>
#include <string.h>

#define STACK ((size_t)128 << 10)
#define ROOM  ((size_t)64 << 10) /* for its thread-local storage: zero but for what is copied */
#define HEAD  64u

#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_FOLLOWED true
#endif
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define IS_FOLLOWED true
#endif
#ifndef IS_FOLLOWED
#define IS_FOLLOWED false
#endif

/* Of what is thread-local the code here changes errno alone, and all that it reads lies nearer to
 * where the thread register points to. Some words there are about the storage itself, or guard
 * stacks. */
static uintptr_t own_register(void)
{
#if defined __x86_64__
    uintptr_t self;
    __asm__("movq %%fs:0, %0" : "=r"(self));
    return self;
#else
    return (uintptr_t)__builtin_thread_pointer();
#endif
}

/* Storage lies below the register's address on x86-64, and what libc knows of a thread from there
 * on; elsewhere it is the other way round. Returns where the register is to point to, with as much
 * room on both sides. */
static uintptr_t make_storage(uintptr_t room)
{
    uintptr_t own = own_register(), place = (uintptr_t)&errno, made = room + ROOM / 2;
#if defined __x86_64__
    memcpy((void *)(made - (own - place)), (const void *)place, own - place + HEAD);
    memcpy((void *)made, &made, sizeof made);
    memcpy((void *)(made + 2 * sizeof made), &made, sizeof made);
#else
    memcpy((void *)made, (const void *)own, place - own + sizeof errno);
#endif
    return made;
}

static bool has_room(void)
{
    uintptr_t own = own_register(), place = (uintptr_t)&errno;
    return (own < place ? place - own : own - place) < ROOM / 2;
}

/* glibc starts its threads with the same flags, the only ones that emulators of processors and of
 * system calls know. */
#define FLAGS                                                                                      \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |            \
     CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

static int begin(void *with)
{
    struct mm_helper *helper = with;
    if (mm_kernel_unshare())
        helper->run(helper->with);
    return 0;
}

bool mm_helper_start(struct mm_helper *helper, void (*run)(void *with), void *with)
{
    if (IS_FOLLOWED || !has_room())
        return false;
    helper->run = run;
    helper->with = with;
    helper->size = STACK + ROOM;
    helper->memory = mm_os_map(helper->size);
    if (helper->memory == NULL)
        return false;
    atomic_store(&helper->id, UINT32_MAX); /* until the system writes it */
    uintptr_t thread = make_storage((uintptr_t)helper->memory + STACK);
    if (__clone(begin, helper->memory + STACK, FLAGS, helper, &helper->id, thread, &helper->id) > 0)
        return true;
    atomic_store(&helper->id, 0);
    mm_helper_end(helper);
    return false;
}

bool mm_helper_has_ended(const struct mm_helper *helper)
{
    return atomic_load(&helper->id) == 0;
}

/* The system wakes up who waits by the kind of futex that other processes may wait for, too. */
void mm_helper_end(struct mm_helper *helper)
{
    for (unsigned round = 0; atomic_load(&helper->id) != 0; round++)
        mm_os_wait(round);
    mm_helper_renew(helper);
}

void mm_helper_renew(struct mm_helper *helper)
{
    if (helper->memory != NULL)
        mm_os_release(helper->memory, helper->size);
    helper->memory = NULL;
    atomic_store(&helper->id, 0);
}
