/* no_stderr.c - a daemon that has no stderr from the start on would lose its reports without a
 * word: the first process of its tree says so in the system's log. Nothing is kept, and nothing
 * asked of a process that has a stderr. */
#include "findings/sink.h"
#include "lookup.h"
#include "system/mapping.h"
#include "system/os.h"
#include "system/out.h"
#include <string.h>
#include <unistd.h>

static bool is_nowhere(int fd, const struct mm_os_file_id *null)
{
    struct mm_os_file_id is = mm_os_file_id(fd);
    return !is.open || mm_os_is_same_file(&is, null);
}

/* Closed; or all three go to /dev/null, as what starts daemons has them: who throws stderr alone
 * away wants that. */
static bool is_missing(void)
{
    struct mm_os_file_id is = mm_sink_first_stderr(), null;
    if (!is.open)
        return true;
    null = mm_os_file_id_at("/dev/null");
    return mm_os_is_same_file(&is, &null) && is_nowhere(STDIN_FILENO, &null) &&
           is_nowhere(STDOUT_FILENO, &null);
}

/* The number behind a name at the start of a line; -1: there is none. */
static long number_of(const char *status, const char *name)
{
    const char *at = strstr(status, name);
    long number = 0;
    if (at == NULL)
        return -1;
    for (at += strlen(name); *at == '\t' || *at == ' ';)
        at++;
    for (; *at >= '0' && *at <= '9'; at++)
        number = 10 * number + (*at - '0');
    return number;
}

/* The parent, unless a sandbox may take a socket for an attack, or can't be told of; else 0. */
static long parent_if_free(void)
{
    char status[4096];
    int fd = mm_os_open_read("/proc/self/status");
    if (fd < 0)
        return 0;
    status[mm_os_read(fd, status, sizeof status - 1)] = '\0';
    mm_os_close(fd);
    return number_of(status, "\nSeccomp:") == 0 ? number_of(status, "\nPPid:") : 0;
}

/* Where the environment of the parent names the shim, it has told, or had nothing to tell. */
static bool is_under_shim(long process)
{
    static const char name[] = "libmmshim.so";
    char path[64], text[4096];
    struct mm_out out;
    mm_out_start(&out, path, sizeof path);
    mm_out_format(&out, "/proc/%u/environ", (uint64_t)process);
    int fd = mm_os_open_read(path);
    bool found = false;
    for (size_t kept = 0, got; fd >= 0 && !found; kept = got < sizeof name ? got : sizeof name) {
        got = mm_os_read(fd, text + kept, sizeof text - kept);
        if (got == 0)
            break;
        got += kept;
        found = memmem(text, got, name, sizeof name - 1) != NULL;
        size_t rest = got < sizeof name ? got : sizeof name;
        memmove(text, text + got - rest, rest);
    }
    if (fd >= 0)
        mm_os_close(fd);
    return found;
}

void shim_tell_missing_stderr(void)
{
    char program[256], line[512];
    struct mm_out out;
    if (!is_missing())
        return;
    long parent = parent_if_free();
    if (parent <= 0 || is_under_shim(parent))
        return;
    mm_mapping_program_path(program, sizeof program);
    mm_out_start(&out, line, sizeof line);
    mm_out_format(&out,
                  "%s has no stderr: what it and its children do wrong is told nowhere; set "
                  "MM_LOG to a path, or to \"syslog\"",
                  program);
    mm_sink_tell_syslog(line);
}
