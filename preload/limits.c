/* limits.c - the address space that the arena reserves but does not use counts against RLIMIT_AS. A
 * process that limits itself gets it back first. */
#include "lookup.h"
#include "os.h"
#include "process.h"
#include <errno.h>
#include <sys/resource.h>

#define EXPORT __attribute__((visibility("default")))

_Static_assert(sizeof(struct rlimit) == sizeof(struct rlimit64), "the 64-bit names are aliases");

static void make_room(int resource, const struct rlimit *limit)
{
    if (resource == RLIMIT_AS && limit != NULL)
        mm_process_limit_address_space(limit->rlim_cur);
}

static int not_there(void)
{
    errno = ENOSYS;
    return -1;
}

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    int (*next)(__rlimit_resource_t, const struct rlimit *) = shim_libc(SHIM_SETRLIMIT);
    make_room((int)resource, limit);
    return next != NULL ? next(resource, limit) : not_there();
}

EXPORT int prlimit(pid_t process, enum __rlimit_resource resource, const struct rlimit *limit,
                   struct rlimit *before)
{
    int (*next)(pid_t, enum __rlimit_resource, const struct rlimit *, struct rlimit *) =
        shim_libc(SHIM_PRLIMIT);
    if (process == 0 || process == mm_os_process_id())
        make_room((int)resource, limit);
    return next != NULL ? next(process, resource, limit, before) : not_there();
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
