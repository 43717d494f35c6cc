/* folder.h - the entries of a folder of the system's that are numbers (threads, descriptors), and
 * its short files.
 * Allocates nothing, locks nothing. */
#ifndef MM_FOLDER_H
#define MM_FOLDER_H

#include <stddef.h>

/* Calls back for each, unless that is NULL; how many, 0 also when it can't be read. */
size_t mm_folder_numbers(const char *path, void (*each)(unsigned number, void *with), void *with);

/* What a short file of the system's says, cut to fit; "" where it can't be read. Its length. */
size_t mm_folder_text(const char *path, char *text, size_t capacity);

#endif
