/* bounds_each.c - functions of libmmshim_bounds.so's table, one after the other: each goes one unit
 * too far in a child of its own, where that one finding is told, and no further in another, where
 * nothing is. What is told in full is in bounds.c. With the argument "pages" all blocks have pages
 * of their own: it may be told by the instruction then, but once. */
#include "misuse.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

enum { SIZE = 40, WIDE = SIZE / sizeof(wchar_t), MOST = 4096 };

static char other[MOST];
static wchar_t wide_other[MOST];
static char *block; /* of SIZE bytes */
static wchar_t *wide_block;
static int ends[2];
static FILE *file;
static volatile uintptr_t kept; /* a call whose result nobody wants is none */

/* So many letters, then an end if there is one. */
static char *letters(char *to, size_t count, bool ended)
{
    for (size_t i = 0; i < count; i++)
        to[i] = 'x';
    if (ended)
        to[count] = '\0';
    return to;
}

static wchar_t *wide_letters(wchar_t *to, size_t count, bool ended)
{
    for (size_t i = 0; i < count; i++)
        to[i] = L'x';
    if (ended)
        to[count] = L'\0';
    return to;
}

/* The block as a text, which has an end if `extra` is 0. */
static char *text(size_t extra)
{
    return letters(block, SIZE - 1 + extra, extra == 0);
}

static wchar_t *wide_text(size_t extra)
{
    return wide_letters(wide_block, WIDE - 1 + extra, extra == 0);
}

/* Texts that just fit, or don't. */
static char *source(size_t extra)
{
    return letters(other, SIZE - 1 + extra, true);
}

static wchar_t *wide_source(size_t extra)
{
    return wide_letters(wide_other, WIDE - 1 + extra, true);
}

static void send_letters(size_t count)
{
    CHECK(write(ends[1], letters(other, count, true), count) == (ssize_t)count);
    close(ends[1]);
}

static FILE *file_of(size_t count)
{
    send_letters(count);
    return file = fdopen(ends[0], "r");
}

static struct iovec piece_of(size_t size)
{
    return (struct iovec){block, size};
}

static int compare(const void *first, const void *second)
{
    return *(const char *)first - *(const char *)second;
}

static int print_list(char *to, size_t size, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int result = size != 0 ? vsnprintf(to, size, format, list) : vsprintf(to, format, list);
    va_end(list);
    return result;
}

static int scan_list(const char *from, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int result = vsscanf(from, format, list);
    va_end(list);
    return result;
}

/* name, kind, what is done with `extra` more than fits. */
#define OVER "overflow"
#define READ "over-read"
#define CASES                                                                                      \
    CASE(memcpy, OVER, memcpy(block, other, SIZE + extra))                                         \
    CASE(mempcpy, OVER, mempcpy(block, other, SIZE + extra))                                       \
    CASE(memmove, READ, memmove(other, block, SIZE + extra))                                       \
    CASE(memset, OVER, memset(block, 0, SIZE + extra))                                             \
    CASE(bzero, OVER, (bzero(block, SIZE + extra), 0))                                             \
    CASE(bcopy, READ, (bcopy(block, other, SIZE + extra), 0))                                      \
    CASE(swab, OVER, (swab(other, block, (ssize_t)(SIZE + 2 * extra)), 0))                         \
    CASE(memccpy, OVER, memccpy(block, other, 'y', SIZE + extra))                                  \
    CASE(memcmp, READ, memcmp(letters(block, SIZE, false), source(1), SIZE + extra))               \
    CASE(bcmp, READ, bcmp(letters(block, SIZE, false), source(1), SIZE + extra))                   \
    CASE(memchr, READ, memchr(letters(block, SIZE, false), 'y', SIZE + extra))                     \
    CASE(memrchr, READ, memrchr(letters(block, SIZE, false), 'x', SIZE + extra))                   \
    CASE(rawmemchr, READ, rawmemchr(block, extra != 0 ? 0xfd : *letters(block, 1, false)))         \
    CASE(memmem, READ, memmem(letters(block, SIZE, false), SIZE + extra, "yy", 2))                 \
    CASE(strlen, READ, strlen(text(extra)))                                                        \
    CASE(strnlen, READ, strnlen(letters(block, SIZE, false), SIZE + extra))                        \
    CASE(strcpy, OVER, strcpy(block, source(extra)))                                               \
    CASE(stpcpy, READ, stpcpy(other, text(extra)))                                                 \
    CASE(strncpy, OVER, strncpy(block, "short", SIZE + extra))                                     \
    CASE(stpncpy, OVER, stpncpy(block, "short", SIZE + extra))                                     \
    CASE(strcat, OVER, strcat(letters(block, 10, true), letters(other, SIZE - 11 + extra, true)))  \
    CASE(strncat, OVER, strncat(letters(block, 10, true), source(9), SIZE - 11 + extra))           \
    CASE(strdup, READ, strdup(text(extra)))                                                        \
    CASE(strndup, READ, strndup(letters(block, SIZE, false), SIZE + extra))                        \
    CASE(strcmp, READ, strcmp(text(extra), source(9)))                                             \
    CASE(strncmp, READ, strncmp(source(9), letters(block, SIZE, false), SIZE + extra))             \
    CASE(strcasecmp, READ, strcasecmp(text(extra), source(9)))                                     \
    CASE(strncasecmp, READ, strncasecmp(letters(block, SIZE, false), source(9), SIZE + extra))     \
    CASE(strcoll, READ, strcoll(text(extra), source(9)))                                           \
    CASE(strxfrm, OVER, strxfrm(block, source(extra), MOST))                                       \
    CASE(strchr, READ, strchr(text(extra), 'y'))                                                   \
    CASE(strchrnul, READ, strchrnul(text(extra), 'y'))                                             \
    CASE(strrchr, READ, strrchr(text(extra), 'x'))                                                 \
    CASE(strstr, READ, strstr(text(extra), "yy"))                                                  \
    CASE(strspn, READ, strspn(text(extra), "xy\xfd"))                                              \
    CASE(strcspn, READ, strcspn(text(extra), "y\xfd"))                                             \
    CASE(strpbrk, READ, strpbrk(text(extra), "y\xfd"))                                             \
    CASE(strtol, READ, strtol(memset(block, '1', SIZE - 1 + extra), NULL, 10))                     \
    CASE(strtod, READ, strtod(memset(block, '1', SIZE - 1 + extra), NULL))                         \
    CASE(atoi, READ, atoi(memset(block, '1', SIZE - 1 + extra)))                                   \
    CASE(strftime, OVER, strftime(block, MOST, source(extra), &(struct tm){.tm_mday = 1}))         \
    CASE(wmemcpy, OVER, wmemcpy(wide_block, wide_other, WIDE + extra))                             \
    CASE(wmemmove, READ, wmemmove(wide_other, wide_block, WIDE + extra))                           \
    CASE(wmemset, OVER, wmemset(wide_block, L'x', WIDE + extra))                                   \
    CASE(wmemchr, READ, wmemchr(wide_letters(wide_block, WIDE, false), L'y', WIDE + extra))        \
    CASE(wcslen, READ, wcslen(wide_text(extra)))                                                   \
    CASE(wcsnlen, READ, wcsnlen(wide_letters(wide_block, WIDE, false), WIDE + extra))              \
    CASE(wcscpy, OVER, wcscpy(wide_block, wide_source(extra)))                                     \
    CASE(wcpcpy, READ, wcpcpy(wide_other, wide_text(extra)))                                       \
    CASE(wcsncpy, OVER, wcsncpy(wide_block, L"x", WIDE + extra))                                   \
    CASE(wcscat, OVER, wcscat(wide_letters(wide_block, 1, true), wide_source(extra) + 1))          \
    CASE(wcsncat, OVER,                                                                            \
         wcsncat(wide_letters(wide_block, 1, true), wide_source(9), WIDE - 2 + extra))             \
    CASE(wcscmp, READ, wcscmp(wide_text(extra), wide_source(9)))                                   \
    CASE(wcschr, READ, wcschr(wide_text(extra), L'y'))                                             \
    CASE(wcsrchr, READ, wcsrchr(wide_text(extra), L'x'))                                           \
    CASE(wcsdup, READ, wcsdup(wide_text(extra)))                                                   \
    CASE(mbstowcs, OVER, mbstowcs(wide_block, letters(other, WIDE - 1 + extra, true), MOST))       \
    CASE(wcstombs, OVER, wcstombs(block, wide_letters(wide_other, SIZE - 1 + extra, true), MOST))  \
    CASE(sprintf, OVER, sprintf(block, "%s", source(extra)))                                       \
    CASE(vsprintf, OVER, print_list(block, 0, "%s", source(extra)))                                \
    CASE(snprintf, OVER, snprintf(block, MOST, "%d%s", 1, source(extra) + 1))                      \
    CASE(vsnprintf, OVER, print_list(block, MOST, "%s", source(extra)))                            \
    CASE(swprintf, OVER, swprintf(wide_block, MOST, L"%ls", wide_source(extra)))                   \
    CASE(asprintf, READ, asprintf(&(char *){NULL}, "%5d%s", 3, text(extra)))                       \
    CASE(dprintf, READ,                                                                            \
         dprintf(ends[1], "%.*s", (int)(SIZE + extra), letters(block, SIZE, false)))               \
    CASE(puts, READ, (stdout = fdopen(ends[1], "w"), puts(text(extra))))                           \
    CASE(fputs, READ, fputs(text(extra), fdopen(ends[1], "w")))                                    \
    CASE(sscanf, OVER, sscanf(source(extra), "%s", block))                                         \
    CASE(vsscanf, OVER, scan_list(source(extra), "%[xy]", block))                                  \
    CASE(fscanf, OVER, fscanf(file_of(SIZE + extra), "%*1s%99s", block))                           \
    CASE(fread, OVER, fread(block, 1, MOST, file_of(SIZE + extra)))                                \
    CASE(fwrite, READ, fwrite(block, SIZE + extra, 1, fdopen(ends[1], "w")))                       \
    CASE(fgets, OVER, fgets(block, MOST, file_of(SIZE - 1 + extra)))                               \
    CASE(read, OVER, (send_letters(SIZE + extra), read(ends[0], block, MOST)))                     \
    CASE(write, READ, write(ends[1], block, SIZE + extra))                                         \
    CASE(readv, OVER,                                                                              \
         (send_letters(SIZE + extra), readv(ends[0], (struct iovec[]){piece_of(MOST)}, 1)))        \
    CASE(writev, READ, writev(ends[1], (struct iovec[]){piece_of(SIZE + extra)}, 1))               \
    CASE(recv, OVER, (send_letters(SIZE + extra), recv(ends[0], block, MOST, 0)))                  \
    CASE(recvmsg, OVER,                                                                            \
         (send_letters(SIZE + extra),                                                              \
          recvmsg(ends[0],                                                                         \
                  &(struct msghdr){.msg_iov = (struct iovec[]){piece_of(MOST)}, .msg_iovlen = 1},  \
                  0)))                                                                             \
    CASE(send, READ, send(ends[1], block, SIZE + extra, 0))                                        \
    CASE(readlink, OVER, readlink("/proc/self/exe", block + SIZE - 1 + extra, 1))                  \
    CASE(getcwd, OVER, (CHECK(chdir("/") == 0), getcwd(block + SIZE - 2 + extra, MOST)))           \
    CASE(poll, OVER,                                                                               \
         (memset(block, 0xff, SIZE),                                                               \
          poll((struct pollfd *)(void *)block, SIZE / sizeof(struct pollfd) + extra, 0)))          \
    CASE(qsort, OVER, (qsort(block, SIZE + extra, 1, compare), 0))

struct each {
    const char *name, *kind;
    void (*run)(size_t extra);
};

#define CASE(name, kind, call)                                                                     \
    static void run_##name(size_t extra)                                                           \
    {                                                                                              \
        (void)extra;                                                                               \
        kept = (uintptr_t)(call);                                                                  \
    }
CASES
#undef CASE

static const struct each all[] = {
#define CASE(name, kind, call) {#name, kind, run_##name},
    CASES
#undef CASE
};

static void run_one(const struct each *each, size_t extra)
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    block = hidden(malloc(SIZE));
    memset(block, 0, SIZE);
    wide_block = (wchar_t *)(void *)block;
    each->run(extra);
    _exit(0);
}

/* What a process tells on stderr, which it starts with. */
static void run_in_child(const struct each *each, size_t extra, char told[static MOST * 4])
{
    int pipes[2], status;
    CHECK(pipe(pipes) == 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK(dup2(pipes[1], STDERR_FILENO) >= 0);
        execl("/proc/self/exe", "bounds_each", each->name, extra != 0 ? "1" : "0", (char *)NULL);
        _exit(STATUS_CHECK_FAILED);
    }
    close(pipes[1]);
    size_t length = 0;
    for (ssize_t got; (got = read(pipes[0], told + length, MOST * 4 - 1 - length)) > 0;)
        length += (size_t)got;
    told[length] = '\0';
    close(pipes[0]);
    CHECK(waitpid(child, &status, 0) == child);
    if (status != 0)
        printf("%s: ended with %#x\n", each->name, (unsigned)status);
}

static bool by_pages;

static bool tells(const struct each *each, const char *told)
{
    char start[64], call[64];
    snprintf(start, sizeof start, "mmshim: %s of ", each->kind);
    snprintf(call, sizeof call, " by %s in thread ", each->name);
    const char *first = strstr(told, "ERROR: ");
    const char *line = strstr(told, start);
    return first != NULL && line == first + strlen("ERROR: ") &&
           (by_pages || strstr(line, call) != NULL) && strstr(line, "ERROR: ") == NULL;
}

int main(int argc, char **argv)
{
    static char told[MOST * 4];
    int failed = 0;
    for (const struct each *each = all; each < all + sizeof all / sizeof all[0]; each++) {
        if (argc == 3 && strcmp(argv[1], each->name) == 0)
            run_one(each, argv[2][0] == '1');
    }
    by_pages = argc == 2 && strcmp(argv[1], "pages") == 0;
    for (const struct each *each = all; each < all + sizeof all / sizeof all[0]; each++) {
        run_in_child(each, 0, told);
        if (told[0] != '\0')
            failed += printf("%s: does nothing wrong:\n%s", each->name, told) > 0;
        run_in_child(each, 1, told);
        if (!tells(each, told))
            failed +=
                printf("%s: %s was to be told, and was not:\n%s", each->name, each->kind, told) > 0;
    }
    return failed != 0;
}
