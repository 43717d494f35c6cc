/* names.c - threads are given names here, which reports tell when the thread is long gone. To ask
 * the system in each thread would take a call that a sandbox may forbid; and sandboxes are closed
 * here, too. */
#include "blocks/stacks.h"
#include "lookup.h"
#include "slots/guarded.h"
#include "system/os.h"
#include "system/residency.h"
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/prctl.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int pthread_setname_np(pthread_t thread, const char *name)
{
    int (*next)(pthread_t, const char *) = shim_libc(SHIM_SETNAME);
    pid_t id = mm_os_id_of_thread(thread); /* before: a thread that is not waited for may end */
    int error = next != NULL ? next(thread, name) : ENOSYS;
    if (error == 0)
        mm_stacks_thread_named(id, name);
    return error;
}

/* What a guarded slot asks of the system a sandbox may not allow, and end the process for. Who
 * closes one without privileges says the first of these before. */
static bool closes_sandbox(int option)
{
    return option == PR_SET_NO_NEW_PRIVS || option == PR_SET_SECCOMP;
}

/* As libc does, which hands on four arguments whatever there are. */
EXPORT int prctl(int option, ...)
{
    va_list list;
    unsigned long with[4];
    va_start(list, option);
    for (unsigned i = 0; i < 4; i++)
        with[i] = va_arg(list, unsigned long);
    va_end(list);
    int (*next)(int, ...) = (int (*)(int, ...))shim_libc(SHIM_PRCTL);
    if (next == NULL) {
        errno = ENOSYS;
        return -1;
    }
    if (closes_sandbox(option) && (!mm_os_is_guest() || mm_os_has_copy())) {
        mm_guarded_give_up();
        mm_residency_give_up();
    }
    int result = next(option, with[0], with[1], with[2], with[3]);
    if (result == 0 && option == PR_SET_NAME)
        mm_stacks_thread_named(mm_os_id_of_thread(mm_os_self()), (const char *)with[0]);
    return result;
}
