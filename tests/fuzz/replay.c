/* replay.c - the inputs of a corpus, one after the other, where no fuzzer is linked in.
 *
 *   fuzz_NAME FILE_OR_FOLDER... */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MOST = 1 << 20 };
static uint8_t input[INPUT_MOST];
static unsigned replayed;

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t size = file != NULL ? fread(input, 1, sizeof input, file) : 0;
    if (file == NULL || ferror(file) || size == sizeof input) {
        fprintf(stderr, "%s: cannot be read, or is too large\n", path);
        exit(1);
    }
    fclose(file);
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(input, size);
    replayed++;
}

static void replay(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        replay_file(path);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            replay_file(inner);
    }
    closedir(folder);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%u inputs\n", replayed);
    return replayed > 0 ? 0 : 1;
}
