/* limits.c - what a process does to its address space. What the arena reserves but does not use
 * counts against RLIMIT_AS and RLIMIT_MEMLOCK: who limits itself, or locks its memory, gets it
 * back. And the checks leave alone what may not be touched any more. */
#include "checks/shut.h"
#include "entry/process.h"
#include "lookup.h"
#include "slots/guarded.h"
#include "system/os.h"
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define EXPORT __attribute__((visibility("default")))

_Static_assert(sizeof(struct rlimit) == sizeof(struct rlimit64), "the 64-bit names are aliases");

/* The limit that now holds is read back: what the caller's pointer refers to is the kernel's to
 * check. */
static int limited(int result, int resource)
{
    if (result == 0 && resource == RLIMIT_AS)
        mm_process_keep_to(mm_os_address_space_limit());
    return result;
}

static int not_there(void)
{
    errno = ENOSYS;
    return -1;
}

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    int (*next)(__rlimit_resource_t, const struct rlimit *) = shim_libc(SHIM_SETRLIMIT);
    return next != NULL ? limited(next(resource, limit), (int)resource) : not_there();
}

EXPORT int prlimit(pid_t process, enum __rlimit_resource resource, const struct rlimit *limit,
                   struct rlimit *before)
{
    int (*next)(pid_t, enum __rlimit_resource, const struct rlimit *, struct rlimit *) =
        shim_libc(SHIM_PRLIMIT);
    if (next == NULL)
        return not_there();
    int result = next(process, resource, limit, before);
    bool is_ours = limit != NULL && (process == 0 || process == mm_os_process_id());
    return is_ours ? limited(result, (int)resource) : result;
}

EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
    return setrlimit(resource, (const struct rlimit *)limit);
}

EXPORT int prlimit64(pid_t process, enum __rlimit_resource resource, const struct rlimit64 *limit,
                     struct rlimit64 *before)
{
    return prlimit(process, resource, (const struct rlimit *)limit, (struct rlimit *)before);
}

/* Makes resident whatever may be accessed, the tables of the whole range among it: an eighth of the
 * machine's memory is range enough then. Who lacks the privilege may lock less. */
EXPORT int mlockall(int flags)
{
    int (*next)(int) = shim_libc(SHIM_MLOCKALL);
    if (next == NULL)
        return not_there();
    mm_process_keep_to(mm_os_physical_memory() / 2);
    int result = next(flags);
    if (result == 0 || errno != ENOMEM)
        return result;
    mm_process_keep_to(mm_os_lock_limit());
    return next(flags);
}

/* Told before it happens, as another thread may look at its blocks at that moment. */
EXPORT int mprotect(void *start, size_t size, int access)
{
    int (*next)(void *, size_t, int) = shim_libc(SHIM_MPROTECT);
    int both = PROT_READ | PROT_WRITE;
    bool is_ours = mm_checks.any || mm_guarded_has((uintptr_t)start);
    if (mm_unlikely(is_ours) && (access & both) != both)
        mm_shut_note(start, size);
    return next != NULL ? next(start, size, access) : not_there();
}
