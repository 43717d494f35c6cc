/* A program that knows nothing of the shim and frees a block twice. */
#include <stdlib.h>

int main(void)
{
    void *volatile block = malloc(40);
    free(block);
    free(block);
    return 0;
}
