/* outcome.c - see outcome.h. Owns nothing. */
#include "launcher/outcome.h"

#include "launcher/base.h"
#include "launcher/report.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* One that has the shim may not be able to tell: its user may not write there, or it sees another
 * file system. */
#define NONE_TOLD "no process told that it has the shim: `mmshim --check PROGRAM` may tell why"

/* --- crashes --- */

static bool is_of_crash(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGABRT || number == SIGILL ||
           number == SIGFPE || number == SIGTRAP || number == SIGSYS;
}

/* The signal that ended the program, or, by the status that shells have then, a child; 0: it did
 * not crash. */
static int crash_of(int status)
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) - 128;
    return is_of_crash(number) ? number : 0;
}

static void tell_crash(const struct launcher_outcome *outcome, int number)
{
    char *processes = launcher_processes_text(outcome->processes);
    if (WIFSIGNALED(outcome->status))
        launcher_say("ended by signal %d (%s), and no findings in %s", number, strsignal(number),
                     processes);
    else
        launcher_say("ended with status %d, as shells do when a child ended by signal %d (%s), and "
                     "no findings in %s",
                     128 + number, number, strsignal(number), processes);
}

static bool is_debug(void)
{
    const char *value = getenv("MM_DEBUG");
    return value != NULL && strtol(value, NULL, 10) != 0;
}

static void advise(const struct launcher_outcome *outcome, int number)
{
    if (outcome->processes->count == 0)
        launcher_say(NONE_TOLD);
    else if (!is_debug())
        launcher_say("try next: MM_DEBUG=1, which looks for more than bad frees");
    else if (number == SIGABRT)
        launcher_say("try next: what it wrote before (a failed assertion, an exception that nobody "
                     "caught), and --gdb, which stops where it ends");
    else
        launcher_say(
            "try next: --gdb, which stops where it ends; --guard=4096 for writes further "
            "off, --quarantine=1G for late ones; unseen are writes to stacks and globals, and "
            "most reads");
}

/* --- the end --- */

static void tell_nothing(const struct launcher_outcome *outcome)
{
    if (outcome->processes->count > 0)
        launcher_say("no findings in %s", launcher_processes_text(outcome->processes));
    else
        launcher_say("no findings, and " NONE_TOLD);
}

static void tell_guilty(const struct launcher_outcome *outcome, size_t guilty)
{
    size_t all = outcome->processes->count;
    char *count = launcher_count_text(guilty, "process", "processes");
    if (guilty < all)
        count = launcher_text("%zu of %zu processes", guilty, all);
    launcher_say("%s with findings; `mmshim report %s` tells them again, in other forms, too",
                 count, outcome->folder);
}

void launcher_outcome_tell(const struct launcher_outcome *outcome)
{
    size_t guilty = launcher_findings_guilty(outcome->findings);
    int number = crash_of(outcome->status);
    if (outcome->findings->bug_count > 0)
        launcher_write_text(stderr, outcome->findings);
    if (guilty > 0) {
        tell_guilty(outcome, guilty);
    } else if (number != 0) {
        tell_crash(outcome, number);
        advise(outcome, number);
    } else {
        tell_nothing(outcome);
    }
}
