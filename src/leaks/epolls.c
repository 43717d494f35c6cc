/* epolls.c - see roots.h: what the kernel holds for an epoll: "data:" and a number in each line of
 * its fdinfo. All state is the caller's struct mm_roots. */
#include "leaks/roots.h"

#include "system/folder.h"
#include "system/out.h"

struct epoll {
    struct mm_roots *roots;
    const char *wanted; /* what is left of "data:"; empty: a number comes, or blanks before it */
    uintptr_t data;
    bool has_digits;
};

static void begin_line(struct epoll *epoll)
{
    epoll->wanted = "data:";
    epoll->data = 0;
    epoll->has_digits = false;
}

static unsigned digit_of(char c)
{
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
    return (unsigned)digit;
}

static void read_letter(struct epoll *epoll, char c)
{
    if (*epoll->wanted != '\0') {
        epoll->wanted = c == *epoll->wanted ? epoll->wanted + 1 : "data:";
        return;
    }
    if (digit_of(c) < 16) {
        epoll->data = epoll->data * 16 + digit_of(c);
        epoll->has_digits = true;
    } else if (epoll->has_digits) {
        mm_marks_words(epoll->roots->marks, &epoll->data, 1, MM_WORDS_ANY);
        begin_line(epoll);
    }
}

/* The first thread, which "self" is, may have ended. */
static void begin_path(struct mm_out *out, char *path, size_t size, pid_t thread)
{
    mm_out_start(out, path, size);
    if (thread == 0)
        mm_out_format(out, "/proc/self/fdinfo");
    else
        mm_out_format(out, "/proc/self/task/%u/fdinfo", (uint64_t)thread);
}

static void tell_epoll(unsigned number, void *with)
{
    char path[64];
    struct mm_out out;
    struct epoll epoll = {.roots = with};
    begin_path(&out, path, sizeof path, epoll.roots->thread);
    mm_out_format(&out, "/%u", (uint64_t)number);
    int fd = mm_os_open_read(path);
    begin_line(&epoll);
    for (size_t got; fd >= 0 && (got = mm_os_read(fd, epoll.roots->words, MM_ROOTS_PIECE)) > 0;) {
        for (size_t i = 0; i < got; i++)
            read_letter(&epoll, ((const char *)epoll.roots->words)[i]);
    }
    if (fd >= 0)
        mm_os_close(fd);
}

void mm_roots_tell_epolls(struct mm_roots *roots)
{
    char path[64];
    struct mm_out out;
    begin_path(&out, path, sizeof path, roots->thread);
    mm_folder_numbers(path, tell_epoll, roots);
}
