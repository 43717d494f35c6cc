/* start_lib.h - a library that is busy before main() and after it. */
#ifndef START_LIB_H
#define START_LIB_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define START_BLOCKS 64
extern char *start_lib_blocks[START_BLOCKS]; /* allocated by its constructor, filled by seed */
size_t start_lib_block_size(unsigned number);
int start_lib_words(void);                 /* of the map that its static initialiser made */
unsigned start_ifunc_sum(unsigned number); /* goes through functions chosen by IFUNC resolvers */
int start_lib_touch_thread(void);          /* its thread-local objects, in the calling thread */

#ifdef __cplusplus
}
#endif

#endif
