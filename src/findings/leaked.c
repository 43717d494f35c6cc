/* leaked.c - see leaked.h. All is the caller's. */
#include "findings/leaked.h"

#include "findings/words.h"

static void write_ago(struct mm_out *out, const struct mm_leak *leak)
{
    mm_out_format(out, "%u.%u s", leak->milliseconds / 1000, leak->milliseconds / 100 % 10);
}

/* Two looks that find the same confirm it, and between two it came about. */
static void write_since(struct mm_out *out, const struct mm_leak *leak)
{
    uint64_t since = leak->blocks - leak->known_blocks;
    if (leak->milliseconds == 0)
        return;
    if (since == 0) {
        mm_out_format(out, ", as ");
        write_ago(out, leak);
        mm_out_format(out, " ago already");
        return;
    }
    mm_out_format(out, ", ");
    if (leak->known_blocks != 0) {
        mm_out_count(out, since, "block", "blocks");
        mm_out_format(out, " of them ");
    }
    mm_out_format(out, "since less than ");
    write_ago(out, leak);
}

void mm_leaked_write(struct mm_out *out, const struct mm_leak *leak)
{
    static const char *const words[] = {"nothing points to", "only leaked blocks point to",
                                        "only pointers with a tag point to",
                                        "perhaps nothing points to"};
    if (leak->how != MM_LEAK_GROWN) {
        mm_out_format(out, " that %s", words[leak->how]);
        write_since(out, leak);
        return;
    }
    mm_out_format(out, ", ");
    mm_out_bytes(out, leak->grown_bytes);
    mm_out_format(out, " more than ");
    write_ago(out, leak);
    mm_out_format(out, " ago, %u a second", leak->grown_bytes * 1000 / leak->milliseconds);
}
