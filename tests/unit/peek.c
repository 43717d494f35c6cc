/* peek.c - what is read where memory ends, and that it is what is there; also where the call for it
 * is refused. */
#include "system/peek.h"

#include "check.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { PAGE = 1 << 16 }; /* of any machine a multiple of one */

static char *start;

static void map(void)
{
    start = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(start != MAP_FAILED && mprotect(start + PAGE, PAGE, PROT_NONE) == 0);
    for (unsigned i = 0; i < PAGE; i++)
        start[i] = (char)(i * 7 + 1 + i / 256);
    start[PAGE - 1] = '\0';
}

static void at_the_end(void)
{
    char bytes[64];
    uintptr_t end = (uintptr_t)start + PAGE;
    errno = 17;
    CHECK_EQUAL(mm_peek(bytes, end - 16, 16, 16), 16);
    CHECK(memcmp(bytes, (const void *)(end - 16), 16) == 0);
    CHECK_EQUAL(mm_peek(bytes, end - 16, 17, 64), 0);
    CHECK_EQUAL(mm_peek(bytes, end, 1, 1), 0);
    CHECK_EQUAL(mm_peek(bytes, 64, 8, 8), 0);
    CHECK_EQUAL(mm_peek(bytes, UINTPTR_MAX - 3, 8, 8), 0);
    CHECK_EQUAL(errno, 17);
}

/* To and fro, and over the ends of windows and pages. */
static void as_it_is(struct mm_peeker *peeker)
{
    uint64_t state = 1;
    for (unsigned i = 0; i < 20000; i++) {
        char bytes[100];
        size_t size = 1 + check_below(&state, sizeof bytes);
        size_t at = check_below(&state, i % 2 == 0 ? PAGE - size : 3000);
        CHECK(mm_peeker_read(peeker, (uintptr_t)start + at, bytes, size));
        CHECK(memcmp(bytes, start + at, size) == 0);
    }
}

static void by_peekers(unsigned char *window, size_t size)
{
    struct mm_peeker peeker;
    char word[8], text[32];
    mm_peeker_start(&peeker, false, window, size);
    as_it_is(&peeker);
    CHECK(!mm_peeker_read(&peeker, (uintptr_t)start + PAGE - 4, word, sizeof word));
    CHECK(!mm_peeker_read(&peeker, (uintptr_t)start + PAGE, word, sizeof word));
    CHECK(!mm_peeker_read(&peeker, UINTPTR_MAX - 3, word, sizeof word));
    as_it_is(&peeker);
    memcpy(start + 1000, "a text of some length", sizeof "a text of some length");
    mm_peeker_start(&peeker, false, window, size);
    CHECK(mm_peeker_text(&peeker, (uintptr_t)start + 1000, text, sizeof text));
    CHECK_TEXT(text, "a text of some length");
    CHECK(mm_peeker_text(&peeker, (uintptr_t)start + 1000, text, 7));
    CHECK_TEXT(text, "a text");
    CHECK(!mm_peeker_text(&peeker, (uintptr_t)start + PAGE, text, sizeof text));
    mm_peeker_start(&peeker, true, NULL, 0);
    as_it_is(&peeker);
}

static bool refuse_the_call(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int main(void)
{
    map();
    at_the_end();
    static unsigned char window[PAGE];
    by_peekers(window, MM_PEEK_WINDOW);
    map();
    by_peekers(window, 4096);
    if (!refuse_the_call()) {
        printf("skipped: the call refused (no filter can be set here)\n");
        return 77;
    }
    map();
    at_the_end();
    by_peekers(window, MM_PEEK_WINDOW);
    return 0;
}
