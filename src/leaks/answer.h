/* answer.h - how `mmshim leaks PID` and a process meet. The command makes a pipe at this path and a
 * number, in the folder as the process sees it, and sends the number along with the signal of
 * MM_LEAKS_SIGNAL; what the process finds then goes into the pipe, as text, and its end is the
 * answer's. A process that can't open the pipe tells where it tells all. */
#ifndef MM_ANSWER_H
#define MM_ANSWER_H

#define MM_ANSWER_FOLDER "/tmp"
#define MM_ANSWER_NAME   "mmshim-leaks."

#endif
