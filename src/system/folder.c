/* folder.c - see folder.h. Keeps nothing. */
#include "system/folder.h"

#include "system/kernel.h"
#include "system/os.h"
#include <errno.h>
#include <fcntl.h>

/* As getdents64(2) has it. */
struct entry {
    uint64_t inode, offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

/* False: it is no number. */
static bool read_number(const char *name, unsigned *number)
{
    *number = 0;
    for (; *name >= '0' && *name <= '9'; name++)
        *number = *number * 10 + (unsigned)(*name - '0');
    return *name == '\0';
}

size_t mm_folder_numbers(const char *path, void (*each)(unsigned number, void *with), void *with)
{
    _Alignas(struct entry) char buffer[2048];
    size_t count = 0;
    int saved_errno = errno;
    int fd = mm_kernel_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (ssize_t got; fd >= 0 && (got = mm_kernel_read_folder(fd, buffer, sizeof buffer)) > 0;) {
        for (ssize_t at = 0; at < got;) {
            const struct entry *entry = (const struct entry *)(buffer + at);
            unsigned number;
            at += entry->length;
            if (!read_number(entry->name, &number))
                continue;
            count++;
            if (each != NULL)
                each(number, with);
        }
    }
    if (fd >= 0)
        mm_os_close(fd);
    errno = saved_errno;
    return count;
}

size_t mm_folder_text(const char *path, char *text, size_t capacity)
{
    int fd = mm_os_open_read(path);
    size_t length = fd >= 0 ? mm_os_read(fd, text, capacity - 1) : 0;
    if (fd >= 0)
        mm_os_close(fd);
    text[length] = '\0';
    return length;
}
