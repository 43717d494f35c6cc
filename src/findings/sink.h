/* sink.h - where reports go: stderr, as long as that is what it was at the start, or the file of
 * MM_LOG, or syslog.
 *
 * That file is opened when there is something to write, and checked each time to be still the one
 * under its number: the program may have closed it, and opened one of its own; and the one at its
 * path: it may have been rotated. */
#ifndef MM_SINK_H
#define MM_SINK_H

#include "system/os.h"
#include <stdbool.h>
#include <stddef.h>

/* Remembers stderr. `log` is MM_LOG's pattern, kept for good; NULL: stderr it is. `complain` is
 * told, once a process, that MM_LOG's file takes no reports; those that it does not take go to
 * stderr. It may write here. Not told of a vfork()'s child, whose reports go to stderr one by one.
 */
void mm_sink_start(const char *log, void (*complain)(const char *line));

/* Whether stderr is still what it was at the start. */
bool mm_sink_has_stderr(void);
/* What that was. */
struct mm_os_file_id mm_sink_first_stderr(void);

/* Whether reports are read on a terminal. */
bool mm_sink_is_terminal(void);

/* A line to syslog, wherever reports go. False when nobody took it. */
bool mm_sink_tell_syslog(const char *line);

/* Writes a whole record, which no other thread's mixes with; into a file, no other process's
 * either, and of what does not fit on its disk nothing. False when nobody took it. */
bool mm_sink_write(const void *text, size_t size);

/* From here on what the calling thread writes goes to this open pipe alone, to the end, which
 * closes it behind one more byte. A reader that takes nothing for two seconds, or is not done in
 * ten, gets no more. False when another thread's does. In a fork()'s child it is closed. */
bool mm_sink_divert(int fd);
void mm_sink_divert_end(char last);
/* By this byte instead, if the calling thread's does. */
void mm_sink_divert_end_by(char last);
/* Without that byte: more is to come, by another descriptor. */
void mm_sink_divert_leave(void);

/* -1: no thread's goes elsewhere. */
int mm_sink_diverted_fd(void);

/* In a fork()'s child. */
void mm_sink_renew(void);

#endif
