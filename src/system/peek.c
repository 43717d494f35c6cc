/* peek.c - see peek.h. No state but the peekers of those who call: nothing is owned, nothing
 * locked. */
#include "system/peek.h"

#include "system/assert.h"
#include "system/kernel.h"
#include "system/os.h"
#include <errno.h>
#include <fcntl.h>

#define PAGE   4096u /* the smallest that there is */
#define BEFORE 128u

/* Into an empty pipe goes more than a window, so nobody waits. */
static ssize_t read_through_pipe(void *to, uintptr_t from, size_t size)
{
    int ends[2];
    if (mm_kernel_pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    ssize_t got = mm_kernel_write(ends[1], (const void *)from, size);
    if (got > 0)
        got = mm_kernel_read(ends[0], to, (size_t)got);
    mm_kernel_close(ends[0]);
    mm_kernel_close(ends[1]);
    return got;
}

size_t mm_peek(void *to, uintptr_t from, size_t least, size_t most)
{
    int saved_errno = errno;
    ssize_t got = mm_kernel_read_own(to, (const void *)from, most);
    if (got < 0 && errno != EFAULT)
        got = read_through_pipe(to, from, most);
    errno = saved_errno;
    return got > 0 && (size_t)got >= least ? (size_t)got : 0;
}

/* From a little before on, as who searches goes to and fro; but of no other page than need be. */
static bool refill(struct mm_peeker *peeker, uintptr_t from, size_t size)
{
    MM_ASSERT(size <= peeker->capacity && peeker->window != NULL);
    size_t before = from % BEFORE, most = PAGE - (from - before) % PAGE;
    if (most > peeker->capacity)
        most = peeker->capacity;
    if (before + size > most) {
        before = 0;
        most = size;
    }
    peeker->start = from - before;
    peeker->size = mm_peek(peeker->window, peeker->start, before + size, most);
    return peeker->size != 0;
}

bool mm_peeker_look(struct mm_peeker *peeker, uintptr_t from, void *to, size_t size)
{
    uintptr_t offset = from - peeker->start;
    if ((offset > peeker->size || size > peeker->size - offset) && !refill(peeker, from, size))
        return false;
    memcpy(to, peeker->window + (from - peeker->start), size);
    return true;
}

bool mm_peeker_text(struct mm_peeker *peeker, uintptr_t from, char *to, size_t capacity)
{
    size_t length = 0;
    for (; length + 1 < capacity; length++) {
        if (!mm_peeker_read(peeker, from + length, to + length, 1))
            return false;
        if (to[length] == '\0')
            return true;
    }
    to[length] = '\0';
    return true;
}
