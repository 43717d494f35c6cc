/* cases.c - processes that free badly in ways that strain the reporting itself. `cases NAME` runs
 * one; report_test.py says what is to come of it. A status of 99 means that the process found
 * something wrong by itself. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__LINE__, #condition))
#define COUNT(array)     (sizeof(array) / sizeof((array)[0]))

enum { SMALL = 48, LARGE = 100000, THREADS = 64, ROUNDS = 8 };

static void check_failed(int line, const char *condition)
{
    dprintf(STDOUT_FILENO, "check failed in line %d: %s\n", line, condition);
    syscall(SYS_exit_group, 99);
}

/* The same pointer, of which the compiler no longer knows where it came from. */
static void *hidden(void *ptr)
{
    uintptr_t address = (uintptr_t)ptr;
    __asm__ volatile("" : "+r"(address));
    return (void *)address;
}

char a_global[64];

/* The bad call: it stands in a line of its own. */
void release(void *ptr)
{
    free(hidden(ptr)); /* HERE */
    __asm__ volatile("");
}

static inline __attribute__((always_inline)) void release_inlined(void *ptr)
{
    free(hidden(ptr)); /* INLINED */
    __asm__ volatile("");
}

void release_by_inlined(void *ptr)
{
    release_inlined(ptr); /* OUTER */
    __asm__ volatile("");
}

static void *freed(size_t size)
{
    void *block = hidden(malloc(size)), *old = hidden(block);
    free(block);
    return old;
}

/* One pointer of each kind, at four places of memory. */
struct pointers {
    void *ptr[6];
    char on_stack[16];
};

static void make_pointers(struct pointers *pointers)
{
    void *made[] = {(char *)malloc(LARGE) + 16, (char *)malloc(SMALL) + 8,     a_global,
                    pointers->on_stack,         (void *)(uintptr_t)0xdeadbeef, freed(2 * LARGE)};
    memcpy(pointers->ptr, made, sizeof made);
}

static void one(void)
{
    release(freed(SMALL));
}

static void inlined(void)
{
    release_by_inlined(freed(SMALL));
}

static void kinds(void)
{
    struct pointers pointers;
    make_pointers(&pointers);
    release(freed(SMALL));
    for (size_t i = 0; i < COUNT(pointers.ptr); i++)
        release(pointers.ptr[i]);
}

static long resident_pages(void)
{
    long all, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%ld %ld", &all, &resident) == 2);
    fclose(file);
    return resident;
}

static void repeat_kinds(long rounds)
{
    struct pointers pointers;
    make_pointers(&pointers);
    for (long i = 0; i < rounds; i++)
        for (size_t kind = 0; kind < COUNT(pointers.ptr); kind++)
            release(pointers.ptr[kind]);
}

static void thousands(void)
{
    repeat_kinds(1000);
}

/* Memory stays as it is, as far as the kernel counts it: in steps of some hundred pages. */
static void million(void)
{
    repeat_kinds(1);
    long before = resident_pages();
    repeat_kinds(200000);
    CHECK(resident_pages() <= before + 256);
}

/* Ended by a signal, it tells no more than it did. */
static void again(void)
{
    void *old = freed(SMALL);
    for (int i = 0; i < 8; i++) {
        release(old);
        if (i == 4)
            usleep(1100000);
    }
    raise(SIGKILL);
}

/* --- stacks --- */

void by_way_b(unsigned bits, unsigned left, void *ptr);

/* Each number of `left` bits is a stack of its own; all of them call release() from one place. */
void by_way_a(unsigned bits, unsigned left, void *ptr)
{
    if (left == 0)
        release(ptr);
    else if (bits & 1)
        by_way_b(bits >> 1, left - 1, ptr);
    else
        by_way_a(bits >> 1, left - 1, ptr);
    __asm__ volatile("");
}

void by_way_b(unsigned bits, unsigned left, void *ptr)
{
    __asm__ volatile("");
    if (bits & 1)
        by_way_b(bits >> 1, left - (left > 0), ptr);
    else
        by_way_a(bits >> 1, left - (left > 0), ptr);
    __asm__ volatile("");
}

static void stacks(void)
{
    for (unsigned bits = 0; bits < 8; bits++)
        for (int again = 0; again < 100; again++)
            by_way_a(bits, 4, a_global);
}

/* Exported functions with names of four KiB and a number. */
#define FOUR(text) text text text text
#define LONG_NAME  FOUR(FOUR(FOUR(FOUR("long_name_of_16_"))))
#define LONG(number, next)                                                                         \
    void long_##number(void *ptr) __asm__(LONG_NAME #number);                                      \
    __attribute__((noinline, used)) void long_##number(void *ptr)                                  \
    {                                                                                              \
        next(ptr);                                                                                 \
        __asm__ volatile("");                                                                      \
    }
LONG(1, release)
LONG(2, long_1)
LONG(3, long_2)
LONG(4, long_3)
LONG(5, long_4)
LONG(6, long_5)
LONG(7, long_6)
LONG(8, long_7)
LONG(9, long_8)
LONG(10, long_9)
LONG(11, long_10)
LONG(12, long_11)
LONG(13, long_12)
LONG(14, long_13)

static void long_names(void)
{
    void *old = freed(SMALL);
    long_14(old);
}

static pthread_barrier_t ready;

static void *misuse_at_own_stacks(void *number)
{
    pthread_barrier_wait(&ready);
    for (unsigned i = 0; i < ROUNDS; i++)
        by_way_a((unsigned)(uintptr_t)number * ROUNDS + i, 10, i % 2 ? a_global : a_global + 1);
    return NULL;
}

static void in_threads(void *(*body)(void *))
{
    pthread_t threads[THREADS];
    CHECK(pthread_barrier_init(&ready, NULL, THREADS) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void threads(void)
{
    in_threads(misuse_at_own_stacks);
}

static void *misuse_once(void *number)
{
    pthread_barrier_wait(&ready);
    by_way_a((unsigned)(uintptr_t)number, 10, a_global);
    return NULL;
}

static void threads_once(void)
{
    in_threads(misuse_once);
}

static void *misuse_at_one_stack(void *unused)
{
    pthread_barrier_wait(&ready);
    for (unsigned i = 0; i < 1000; i++)
        release(a_global);
    return unused;
}

static void threads_at_one_stack(void)
{
    in_threads(misuse_at_one_stack);
}

static void *release_in_thread(void *ptr)
{
    pthread_setname_np(pthread_self(), "q\"\\\x01\xff\xc3\xa9\xed\xa0");
    release(ptr);
    return NULL;
}

static void thread_name(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, release_in_thread, a_global) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* A thread that reports must not wait for the dynamic linker's lock: who holds it waits for that
 * thread. See library.c. */
static void in_dlopen(void)
{
    setenv("RELEASE", "1", 1);
    CHECK(dlopen(getenv("LIBRARY"), RTLD_NOW) != NULL);
}

static void wait_for_file(const char *path)
{
    while (access(path, F_OK) != 0)
        usleep(1000);
}

static void *unload(void *library)
{
    wait_for_file("asked");
    CHECK(dlclose(library) == 0 && dlopen(getenv("LIBRARY"), RTLD_NOW | RTLD_NOLOAD) == NULL);
    close(open("unloaded", O_WRONLY | O_CREAT, 0600));
    return NULL;
}

/* The library that a block was allocated in is unloaded while the tool, which makes the file
 * "asked", is looking up sources: it waits for the file "unloaded". */
static void unloaded(void)
{
    pthread_t thread;
    void *library = dlopen(getenv("LIBRARY"), RTLD_NOW);
    CHECK(library != NULL);
    void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(library, "allocate_in_library");
    void *block = hidden(allocate(SMALL)), *old = hidden(block);
    free(block);
    CHECK(pthread_create(&thread, NULL, unload, library) == 0);
    release(old);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* The same, unloaded before the bad call. */
static void gone(void)
{
    void *library = dlopen(getenv("LIBRARY"), RTLD_NOW);
    CHECK(library != NULL);
    void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(library, "allocate_in_library");
    void *block = hidden(allocate(SMALL)), *old = hidden(block);
    free(block);
    CHECK(dlclose(library) == 0 && dlopen(getenv("LIBRARY"), RTLD_NOW | RTLD_NOLOAD) == NULL);
    release(old);
}

static void release_at_signal(int signal_number)
{
    (void)signal_number;
    release(a_global);
}

static void signal_handler(void)
{
    signal(SIGUSR1, release_at_signal);
    raise(SIGUSR1);
}

/* As coroutines have it: their outermost function never returns, and so to nowhere. */
static void on_own_stack(void)
{
    void *volatile *frame = __builtin_frame_address(0);
    frame[1] = (void *)(uintptr_t)0xdeadbeef000;
    release(a_global);
    exit(0);
}

static void own_stack(void)
{
    static char stack[1 << 16];
    static ucontext_t context;
    CHECK(getcontext(&context) == 0);
    context.uc_stack = (stack_t){.ss_sp = stack, .ss_size = sizeof stack};
    makecontext(&context, on_own_stack, 0);
    setcontext(&context);
}

/* --- files --- */

/* Under a name that a terminal takes for orders, in one byte of Latin-1 and one character, too. */
static void mapped_file(void)
{
    int file = open("red\033[31m\xc2\x9b"
                    "31m\x9b\xc3\xa9",
                    O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(file >= 0 && ftruncate(file, 4096) == 0);
    void *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHECK(mapped != MAP_FAILED);
    release(mapped);
}

/* All numbers above 2 are closed, then taken by a file of the program's. */
static void takes_all_files(void)
{
    struct stat own;
    struct rlimit limit;
    int file = memfd_create("own", MFD_CLOEXEC);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && file >= 0);
    release(a_global);
    for (int fd = 3; fd < (int)limit.rlim_cur; fd++)
        if (fd != file)
            dup2(file, fd);
    release(a_global + 1);
    kinds();
    CHECK(fstat(file, &own) == 0 && own.st_size == 0);
}

#ifndef SYS_close_range /* headers before glibc 2.32 */
#define SYS_close_range 436
#endif

static void closes_all_files(void)
{
    release(a_global);
    syscall(SYS_close_range, 3, ~0u, 0);
    kinds();
}

static void without_stderr(void)
{
    close(STDERR_FILENO);
    release(a_global);
    CHECK(memfd_create("own", 0) == STDERR_FILENO);
    kinds();
    struct stat own;
    CHECK(fstat(STDERR_FILENO, &own) == 0 && own.st_size == 0);
}

/* A pipe to a tool then gets these numbers. */
static void without_standard_files(void)
{
    close(STDIN_FILENO);
    close(STDERR_FILENO);
    release(a_global);
    close(STDOUT_FILENO);
    release(a_global);
}

static void few_files(void)
{
    struct rlimit limit = {16, 16};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    release(a_global);
}

/* --- processes --- */

static int end_of(pid_t child)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void in_fork(void)
{
    release(a_global);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        release(a_global);
        exit(3);
    }
    dprintf(STDOUT_FILENO, "CHILD=%d %d\n", (int)child, end_of(child));
}

static void in_exec(void)
{
    release(a_global);
    execl("/proc/self/exe", "cases", "one", (char *)NULL);
    check_failed(__LINE__, "execl()");
}

/* Children that end in each way, and free badly before or not. */
static void children(void)
{
    void (*const ends[])(int) = {exit, _exit, _Exit, quick_exit};
    for (size_t i = 0; i < 2 * COUNT(ends); i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            if (i % 2)
                release(a_global);
            ends[i / 2](3);
        }
        dprintf(STDOUT_FILENO, "%d ", end_of(child));
    }
}

/* The end of a vfork()'s child is not that of the process, which goes on to free badly. */
static void in_vfork(void)
{
    release(a_global);
    pid_t child = vfork();
    if (child == 0)
        _exit(3);
    dprintf(STDOUT_FILENO, "%d ", end_of(child));
    release(a_global + 1);
    _exit(4);
}

/* A vfork()'s child that can open no file: that is no matter of its parent's. */
static void vfork_without_files(void)
{
    pid_t child = vfork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_NOFILE, &none);
        release(a_global);
        _exit(3);
    }
    CHECK(end_of(child) == 3);
    release(a_global + 1);
}

static volatile sig_atomic_t children_ended;

static void note_child(int signal_number)
{
    (void)signal_number;
    children_ended++;
}

/* A tool that is run for a report is no child that the program gets to see. */
static void no_child(void)
{
    int inherited = open("/dev/null", O_RDONLY);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    signal(SIGCHLD, note_child);
    release(a_global);
    CHECK(children_ended == 0 && waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
    CHECK(fcntl(inherited, F_GETFD) == 0);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"one", one},
    {"inlined", inlined},
    {"kinds", kinds},
    {"thousands", thousands},
    {"again", again},
    {"long-names", long_names},
    {"million", million},
    {"stacks", stacks},
    {"threads", threads},
    {"threads-once", threads_once},
    {"threads-at-one-stack", threads_at_one_stack},
    {"thread-name", thread_name},
    {"in-dlopen", in_dlopen},
    {"unloaded", unloaded},
    {"gone", gone},
    {"signal-handler", signal_handler},
    {"own-stack", own_stack},
    {"mapped-file", mapped_file},
    {"takes-all-files", takes_all_files},
    {"closes-all-files", closes_all_files},
    {"without-stderr", without_stderr},
    {"without-standard-files", without_standard_files},
    {"few-files", few_files},
    {"in-fork", in_fork},
    {"in-exec", in_exec},
    {"children", children},
    {"in-vfork", in_vfork},
    {"vfork-without-files", vfork_without_files},
    {"no-child", no_child},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < COUNT(cases); i++) {
        if (strcmp(argv[1], cases[i].name) == 0) {
            dprintf(STDOUT_FILENO, "PID=%d\n", (int)getpid());
            cases[i].run();
            return 0;
        }
    }
    return 2;
}
