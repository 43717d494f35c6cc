/* A library to be opened late, with thread-local data that ld.so allocates for each thread that
 * touches it and frees when the thread ends or the library is closed. */
#include <string.h>

static __thread char large[60000];
static __thread int calls = 1;

int tls_plugin_touch(void);
int tls_plugin_touch(void)
{
    memset(large, calls, sizeof(large));
    return calls++;
}
