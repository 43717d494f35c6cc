/* bounds_each_calls.c - the cases (bounds_each_*.def), and what they do it with. */
#include "bounds_each.h"
#include "bounds_each_short.h"
#include "misuse.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <setjmp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* UPTO: of what may say more than there is, as what it looks for comes before. */
enum { SIZE = 104, WIDE = SIZE / sizeof(wchar_t), MOST = 4096, ROOMY = 4 * MOST, UPTO = 1 << 20 };

static enum way way;
static bool is_wrong;
static jmp_buf left;
static char other[ROOMY];
static wchar_t wide_other[ROOMY];
static char no_block[ROOMY] __attribute__((aligned(16)));
static char *block; /* of SIZE bytes, or more */
static wchar_t *wide_block;
static int opened, slave_opened;
static int ends[2]; /* what is sent to the second is received from the first */
static FILE *files[2];
static FILE *first_stdin, *first_stdout;
static char name_of_file[32];
static char *line, *made;
static size_t line_size;
static mbstate_t state;
static locale_t plain_locale;
static wchar_t *wide_rest;
static struct tm a_day;
static const struct tm some_day = {.tm_mday = 1};
static const time_t some_time;

/* What can't be done on this machine. */
static void not_here(const char *why)
{
    if (!is_wrong)
        longjmp(left, 1);
    dprintf(STDERR_FILENO, "%s\n", why);
    _exit(STATUS_NOT_HERE);
}

/* --- texts --- */

/* So many letters, then an end if there is one. */
static char *letters(char *to, size_t count, bool ended)
{
    memset(to, 'x', count);
    if (ended)
        to[count] = '\0';
    return to;
}

static wchar_t *wide_fill(wchar_t *to, wchar_t letter, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = letter;
    return to;
}

static wchar_t *wide_letters(wchar_t *to, size_t count, bool ended)
{
    wide_fill(to, L'x', count);
    if (ended)
        to[count] = L'\0';
    return to;
}

/* The block as a text, which has an end if `extra` is 0. */
static char *text(size_t extra)
{
    return letters(block, way == WAY_SHORT ? 2 : SIZE - 1 + extra, extra == 0);
}

/* For what writes to all of it: nothing that is another's. */
static char *text_ended_behind(size_t extra)
{
    if (extra != 0)
        block[SIZE + 4] = '\0';
    return text(extra);
}

static wchar_t *wide_text(size_t extra)
{
    return wide_letters(wide_block, way == WAY_SHORT ? 2 : WIDE - 1 + extra, extra == 0);
}

/* The block without an end. */
static char *memory(void)
{
    return letters(block, SIZE, false);
}

static wchar_t *wide_memory(void)
{
    return wide_letters(wide_block, WIDE, false);
}

static bool is_found(void)
{
    return way == WAY_SHORT || way == WAY_LARGE;
}

/* The same to search for a y in. */
static char *found_in(char *in)
{
    if (is_found())
        memset(in, 'y', 2);
    return in;
}

static wchar_t *wide_found_in(wchar_t *in)
{
    if (is_found())
        wide_fill(in, L'y', 2);
    return in;
}

/* A text without an end, if there is a y in it. */
static char *searched(size_t extra)
{
    return found_in(way == WAY_SHORT ? memory() : text(extra));
}

static wchar_t *wide_searched(size_t extra)
{
    return wide_found_in(way == WAY_SHORT ? wide_memory() : wide_text(extra));
}

/* Of a function that is told how much it may look at. */
static size_t up_to(size_t count)
{
    return is_found() ? UPTO : count;
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

/* What a text is like as far as it goes, or all of it. */
static char *alike(void)
{
    return letters(other, way == WAY_SHORT ? 2 : SIZE + 8, true);
}

static wchar_t *wide_alike(void)
{
    return wide_letters(wide_other, way == WAY_SHORT ? 2 : WIDE + 8, true);
}

/* What memory is like, unless it is looked at for longer. */
static char *like_memory(void)
{
    letters(other, SIZE + 1, true);
    return found_in(other);
}

static wchar_t *wide_like_memory(void)
{
    wide_letters(wide_other, WIDE + 1, true);
    return wide_found_in(wide_other);
}

static char *digits(size_t extra)
{
    return memset(text(extra), '1', way == WAY_SHORT ? 1 : SIZE - 1 + extra);
}

static wchar_t *wide_digits(size_t extra)
{
    return wide_fill(wide_text(extra), L'1', way == WAY_SHORT ? 1 : WIDE - 1 + extra);
}

/* Where a number stops is not always asked for. */
static char **stop(void)
{
    static char *at;
    return way == WAY_SHORT ? &at : NULL;
}

static wchar_t **wide_stop(void)
{
    static wchar_t *at;
    return way == WAY_SHORT ? &at : NULL;
}

static char *starts_with(size_t count)
{
    return letters(block, count, true);
}

static wchar_t *wide_starts_with(size_t count)
{
    return wide_letters(wide_block, count, true);
}

/* What has no end but that of a piece that is searched for lies behind a block. */
static const char *behind(size_t extra)
{
    return extra != 0 ? "\xfd" : "x";
}

static const wchar_t *wide_behind(size_t extra)
{
    static const wchar_t red[] = {(wchar_t)0xfdfdfdfd, 0};
    return extra != 0 ? red : L"x";
}

/* The last `size` bytes of the block; one further. */
static void *at_end(size_t size, size_t extra)
{
    CHECK(size <= SIZE);
    return block + SIZE - size + extra;
}

static const char **pointer_to(const char *from)
{
    static const char *kept;
    kept = from;
    return &kept;
}

static const wchar_t **wide_pointer_to(const wchar_t *from)
{
    static const wchar_t *kept;
    kept = from;
    return &kept;
}

/* What can't be converted. */
static const char *no_letter(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    memset(&state, 0, sizeof state);
    return "x\xff";
}

static const wchar_t *no_wide_letter(void)
{
    static const wchar_t none[] = {0x7fffffff, 0};
    memset(&state, 0, sizeof state);
    return none;
}

/* --- files --- */

/* Not by a function of the table: who calls the first of these before the library's constructor
 * ran has all of them found. */
static void send_letters(size_t count)
{
    CHECK(syscall(SYS_write, ends[1], letters(other, count, true), count) == (long)count);
    CHECK(shutdown(ends[1], SHUT_WR) == 0);
}

/* Where so many are received. */
static int incoming(size_t count)
{
    send_letters(count);
    return ends[0];
}

static FILE *stream_in(size_t count)
{
    return files[0] = fdopen(dup(incoming(count)), "r");
}

static FILE *stream_out(void)
{
    return files[1] = fdopen(dup(ends[1]), "w");
}

static void input(size_t count)
{
    stdin = stream_in(count);
}

static void output(void)
{
    stdout = stream_out();
}

static const char *printed(const char *format)
{
    output();
    return format;
}

static const wchar_t *wide_printed(const wchar_t *format)
{
    output();
    return format;
}

/* One that has places. */
static int file_of(size_t count)
{
    opened = memfd_create("bounds_each", 0);
    CHECK(syscall(SYS_write, opened, letters(other, count, true), count) == (long)count);
    return opened;
}

/* What is at `block` after what is elsewhere. */
static struct iovec *pieces(size_t size)
{
    static struct iovec two[2];
    two[0] = (struct iovec){other, 1};
    two[1] = (struct iovec){block, size};
    return two;
}

static struct mmsghdr *messages(size_t size)
{
    static struct mmsghdr one;
    one = (struct mmsghdr){.msg_hdr = {.msg_iov = pieces(size), .msg_iovlen = 2}};
    return &one;
}

static struct msghdr *message(size_t size)
{
    return &messages(size)->msg_hdr;
}

/* A line that is said to have more room than it has. */
static char **line_of_block(void)
{
    line = block;
    line_size = MOST;
    return &line;
}

/* More files than there can be. */
enum { MANY = 1 << 30, POLLED = SIZE / sizeof(struct pollfd) };

/* None of them a file. */
static struct pollfd *polled(void)
{
    memset(block, 0xff, SIZE);
    return (struct pollfd *)(void *)block;
}

static const struct timespec *at_once(void)
{
    static const struct timespec none;
    return &none;
}

/* Of which one event is waited for. */
static int ready(void)
{
    opened = epoll_create1(0);
    CHECK(epoll_ctl(opened, EPOLL_CTL_ADD, ends[1], &(struct epoll_event){.events = EPOLLOUT}) ==
          0);
    return opened;
}

/* A terminal's two ends: opened by whichever argument is looked at first. */
static int master(void)
{
    if (opened < 0)
        opened = posix_openpt(O_RDWR | O_NOCTTY);
    if (opened < 0 || grantpt(opened) != 0 || unlockpt(opened) != 0 || ptsname(opened) == NULL)
        not_here("there are no terminals");
    return opened;
}

static int slave(void)
{
    slave_opened = open(ptsname(master()), O_RDWR | O_NOCTTY);
    if (slave_opened < 0)
        not_here("there are no terminals");
    return slave_opened;
}

static size_t terminal_size(void)
{
    return strlen(ptsname(master())) + 1;
}

static size_t folder_size(void)
{
    CHECK(chdir("/") == 0);
    return sizeof "/";
}

static size_t host_size(void)
{
    char name[MOST];
    CHECK(gethostname(name, sizeof name) == 0);
    return strlen(name) + 1;
}

static size_t domain_size(void)
{
    char name[MOST];
    CHECK(getdomainname(name, sizeof name) == 0);
    return strlen(name) + 1;
}

/* Whoever runs this is said to have logged in, where that is not said yet and may be. */
static size_t login_size(void)
{
    char name[MOST];
    int file = open("/proc/self/loginuid", O_WRONLY);
    dprintf(file, "%u", (unsigned)getuid());
    close(file);
    if (getlogin_r(name, sizeof name) != 0)
        not_here("nobody has logged in");
    return strlen(name) + 1;
}

static size_t path_size(void)
{
    return confstr(_CS_PATH, NULL, 0);
}

static int group_count(void)
{
    setgroups(1, &(gid_t){getegid()}); /* where that may be done */
    int count = getgroups(0, NULL);
    if (count <= 0 || (size_t)count * sizeof(gid_t) > SIZE)
        not_here("no groups, or too many");
    return count;
}

static void *groups(size_t extra)
{
    return at_end((size_t)group_count() * sizeof(gid_t), extra);
}

/* With an attribute, where files have such. */
static int attributed(void)
{
    strcpy(name_of_file, "bounds_each.XXXXXX");
    opened = mkstemp(name_of_file);
    if (opened < 0 || fsetxattr(opened, "user.x", "xxxx", 4, 0) != 0)
        not_here("files have no attributes");
    return opened;
}

static const char *attributed_name(void)
{
    attributed();
    return name_of_file;
}

/* Where the names of all attributes fit, or don't. */
static char *names_at_end(size_t extra)
{
    return at_end((size_t)flistxattr(opened, NULL, 0), extra);
}

static int compare(const void *first, const void *second)
{
    return *(const char *)first - *(const char *)second;
}

static int compare_with(const void *first, const void *second, void *with)
{
    (void)with;
    return compare(first, second);
}

/* --- the cases --- */

#define CASE_AS(id, name, kind, ...)                                                               \
    static void run_##id(size_t extra)                                                             \
    {                                                                                              \
        (void)extra;                                                                               \
        __VA_ARGS__;                                                                               \
    }
#define LIST_CALL(name, kind, arguments, ...)                                                      \
    static void call_##name(size_t extra, ...)                                                     \
    {                                                                                              \
        va_list list;                                                                              \
        va_start(list, extra);                                                                     \
        libc.name arguments;                                                                       \
        va_end(list);                                                                              \
    }                                                                                              \
    CASE(name, kind, call_##name(extra, __VA_ARGS__))
#include "bounds_each.def"
#undef CASE_AS
#undef LIST_CALL

const struct each cases[] = {
#define CASE_AS(id, name, kind, ...) {#id, #name, kind, run_##id},
#define LIST_CALL(name, kind, ...)   CASE(name, kind, )
#include "bounds_each.def"
};
const size_t case_count = sizeof cases / sizeof cases[0];

/* --- running one --- */

static void prepare(enum way of, size_t extra)
{
    way = of;
    is_wrong = of == WAY_EXACT && extra != 0;
    first_stdin = stdin;
    first_stdout = stdout;
    opened = slave_opened = -1;
    memset(files, 0, sizeof files);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    if (plain_locale == NULL)
        plain_locale = newlocale(LC_ALL_MASK, "C", NULL);
    block = way == WAY_STATIC ? no_block : hidden(malloc(way == WAY_LARGE ? ROOMY : SIZE));
    wide_block = (wchar_t *)(void *)block;
    memset(block, 0, way == WAY_EXACT || way == WAY_SHORT ? SIZE : ROOMY);
    /* What has room is as what lies behind a block. */
    if (way == WAY_STATIC || way == WAY_LARGE)
        memset(block, 0xfd, SIZE + 2 * sizeof(wchar_t));
}

void run_case_in(const struct each *each, enum way of, size_t extra)
{
    prepare(of, extra);
    if (setjmp(left) == 0)
        each->run(extra);
}

static void close_all(void)
{
    stdin = first_stdin;
    stdout = first_stdout;
    for (int i = 0; i < 2; i++) {
        if (files[i] != NULL)
            fclose(files[i]);
    }
    close(ends[0]);
    close(ends[1]);
    if (opened >= 0)
        close(opened);
    if (slave_opened >= 0)
        close(slave_opened);
    if (name_of_file[0] != '\0')
        unlink(name_of_file);
    name_of_file[0] = '\0';
}

void clean_up(void)
{
    close_all();
    setlocale(LC_CTYPE, "C");
    free(made);
    made = NULL;
    if (way != WAY_STATIC)
        free(block);
}
