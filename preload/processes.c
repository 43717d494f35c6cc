/* processes.c - MM_PROCESSES: a line of each process at its start, so that who started many knows
 * which of them had the shim; and a mark by which it knows those that run. The file is not made:
 * who starts them does, for all users that they run as. In a chroot() or a container it may not be
 * there, which is nothing to put on a program's stderr unasked. Nothing is kept. */
#include "entry/options.h"
#include "findings/report.h"
#include "lookup.h"
#include "system/mapping.h"
#include "system/os.h"
#include "system/out.h"
#include <errno.h>

static void complain(const char *why)
{
    char line[1200];
    struct mm_out out;
    if (!mm_options.verbose)
        return;
    mm_out_start(&out, line, sizeof line);
    mm_out_format(&out, "MM_PROCESSES=");
    mm_out_cut(&out, mm_options.processes, 1000);
    mm_out_format(&out, ": %s", why);
    mm_report_note(line);
}

void shim_tell_process(void)
{
    char program[1024], line[1100];
    struct mm_out out;
    if (mm_options.processes == NULL)
        return;
    mm_mapping_program_path(program, sizeof program);
    for (char *at = program; *at != '\0'; at++)
        *at = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
    mm_out_start(&out, line, sizeof line);
    mm_out_format(&out, "%u %s\n", (uint64_t)mm_os_process_id(), program);
    if (!mm_os_add_line(mm_options.processes, line, out.length))
        complain(mm_os_error_text(errno));
    else
        mm_os_map_mark(mm_options.processes, 0);
}
