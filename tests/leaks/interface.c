/* interface.c - what LeakSanitizer's interface and our own do under the shim: a case each, by its
 * argument. */
#include "planted.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

size_t mem_mngr_leaks(void) __attribute__((weak));
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));
void __lsan_ignore_object(const void *object) __attribute__((weak));
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
void __lsan_do_leak_check(void) __attribute__((weak));
void __lsan_register_root_region(const void *start, size_t size) __attribute__((weak));
void __lsan_unregister_root_region(const void *start, size_t size) __attribute__((weak));

#ifdef TURNED_OFF
int __lsan_is_turned_off(void)
{
    return 1;
}
#endif
#ifdef SUPPRESSES
const char *__lsan_default_suppressions(void)
{
    return "leak:take\n";
}
#endif

/* And what hangs from such blocks. */
static void ignored(void)
{
    __lsan_disable();
    void **block = take(101);
    __lsan_enable();
    block[0] = take(102);
    block = take(200103);
    block[0] = take(104);
    __lsan_ignore_object((char *)block + 100000);
    take(105);
}

static void recoverable(void)
{
    int none = __lsan_do_recoverable_leak_check();
    take(106);
    wipe();
    int some = __lsan_do_recoverable_leak_check();
    printf("went on: %d, %d\n", none, some);
    fflush(stdout);
}

static void last(void)
{
    take(107);
    wipe();
    __lsan_do_leak_check();
    puts("FAILED: went on");
}

static void last_without_leaks(void)
{
    __lsan_do_leak_check();
    take(108);
    puts("went on");
}

/* Each of them, for a library behind the shim that has them, too. */
static void all(void)
{
    static char root[16];
    void *block = take(100);
    __lsan_disable();
    __lsan_enable();
    __lsan_enable(); /* once too often */
    __lsan_ignore_object(block);
    __lsan_ignore_object(root); /* no block */
    __lsan_register_root_region(root, sizeof root);
    __lsan_unregister_root_region(root, sizeof root);
    printf("some: %d\n", __lsan_do_recoverable_leak_check());
    fflush(stdout);
    __lsan_do_leak_check();
}

/* --- what may be a leak --- */

static volatile uintptr_t tagged_pointer;

static void tagged(void)
{
    tagged_pointer = (uintptr_t)take(109) | (uintptr_t)0x42 << 48;
}

static _Atomic int is_ready;

static void *block_all(void *unused)
{
    uint64_t all_signals = UINT64_MAX;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all_signals, NULL, sizeof all_signals);
    is_ready = 1;
    for (;;)
        sleep(1000);
    return unused;
}

/* Libc itself lets no program block the signal that threads are stopped by. */
static void not_asked(void)
{
    pthread_t thread;
    take(110);
    if (pthread_create(&thread, NULL, block_all, NULL) != 0)
        abort();
    while (!is_ready)
        usleep(1000);
}

static void kept_from_copies(void)
{
    void *place = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (madvise(place, 4096, MADV_DONTFORK) != 0)
        abort();
    take(111);
    wipe();
    printf("some: %zu\n", mem_mngr_leaks());
    fflush(stdout);
    munmap(place, 4096);
}

static void no_memory(void)
{
    struct rlimit most, none = {0, RLIM_INFINITY};
    getrlimit(RLIMIT_AS, &most);
    none.rlim_max = most.rlim_max;
    setrlimit(RLIMIT_AS, &none);
    mem_mngr_leaks();
    setrlimit(RLIMIT_AS, &most);
}

/* Its memory is its parent's, and nothing is looked for. */
static void in_vfork(void)
{
    int status = 1;
    take(112);
    pid_t child = vfork();
    if (child == 0)
        _exit(mem_mngr_leaks() != 0);
    waitpid(child, &status, 0);
    printf("in vfork: %d\n", status);
    fflush(stdout);
}

static const struct planted cases[] = {
    {"ignored", ignored},
    {"recoverable", recoverable},
    {"last", last},
    {"last_without_leaks", last_without_leaks},
    {"all", all},
    {"tagged", tagged},
    {"not_asked", not_asked},
    {"kept_from_copies", kept_from_copies},
    {"no_memory", no_memory},
    {"in_vfork", in_vfork},
};

int main(int argc, char **argv)
{
    return planted_main(cases, sizeof cases / sizeof cases[0], argc, argv);
}
