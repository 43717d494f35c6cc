/* os_thread.c - what os.h tells of threads and the process: ids, names, stacks, whose the memory
 * is. `memory_owner`, `of_owner` and `descriptor_is_known` are written at the start and in a
 * fork()'s child. */
#include "system/os.h"

#include "system/kernel.h"
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

extern void *__libc_stack_end; /* the main thread's, of the dynamic linker */

/* The main thread's ends where the dynamic linker found the arguments; at the top of any other
 * thread's stack libc keeps the thread itself. */
uintptr_t mm_os_stack_top(uintptr_t sp)
{
    uintptr_t thread = (uintptr_t)mm_os_self(), main_end = (uintptr_t)__libc_stack_end;
    uintptr_t lower = thread < main_end ? thread : main_end;
    uintptr_t upper = thread < main_end ? main_end : thread;
    return sp < lower ? lower : sp < upper ? upper : UINTPTR_MAX;
}

pid_t mm_os_process_id(void)
{
    return mm_kernel_process_id();
}

static _Atomic pid_t memory_owner; /* 0: nobody yet */

/* --- the id of a thread, without a system call: a sandbox may forbid it, and libc's malloc makes
 *     none. libc keeps it in the thread's descriptor, whose head is the same since 2.10 --- */

#if defined __x86_64__
#define ID_IN_DESCRIPTOR 720u
#define DESCRIPTOR_LEAST 2048u /* bytes that there are */
#elif defined __aarch64__
#define ID_IN_DESCRIPTOR 208u
#define DESCRIPTOR_LEAST 1536u
#else
#error "where does libc's thread descriptor have the thread's id here?"
#endif

static _Atomic bool descriptor_is_known;

static pid_t id_in_descriptor(pthread_t thread)
{
    return __atomic_load_n((pid_t *)(thread + ID_IN_DESCRIPTOR), __ATOMIC_RELAXED);
}

pid_t mm_os_id_of_thread(pthread_t thread)
{
    bool is_known = atomic_load_explicit(&descriptor_is_known, memory_order_relaxed);
    return is_known ? id_in_descriptor(thread) : 0;
}

pid_t mm_os_own_id(void)
{
    pid_t id = mm_os_id_of_thread(mm_os_self());
    return id > 0 ? id : mm_os_thread_id();
}

void mm_os_keep_ids(struct mm_ids *ids)
{
    memcpy(ids, (const void *)(mm_os_self() + ID_IN_DESCRIPTOR), sizeof *ids);
}

void mm_os_put_ids_back(const struct mm_ids *ids)
{
    memcpy((void *)(mm_os_self() + ID_IN_DESCRIPTOR), ids, sizeof *ids);
}

#define WIPEONFORK 18 /* Linux 4.14 */

/* A word that who gets a copy of our memory finds to be 0, and who shares it does not. NULL: the
 * system knows no such. */
static _Atomic uint32_t *of_owner;

static void map_own(void)
{
    size_t size = mm_os_page_size();
    void *page = mm_kernel_mmap(size, PROT_READ | PROT_WRITE);
    if (page != NULL && mm_kernel_madvise(page, size, WIPEONFORK))
        of_owner = page;
    else if (page != NULL)
        mm_kernel_munmap(page, size);
}

/* Nor is it of who shares that copy. */
bool mm_os_has_copy(void)
{
    return of_owner != NULL && mm_os_is_guest() &&
           atomic_load_explicit(of_owner, memory_order_relaxed) == 0 &&
           !mm_kernel_shares_memory(mm_kernel_parent_id());
}

/* Before glibc 2.34 the first thread has none as long as there is no libpthread. */
void mm_os_own_memory(void)
{
    if (memory_owner == 0)
        map_own();
    if (of_owner != NULL)
        atomic_store_explicit(of_owner, 1, memory_order_relaxed);
    pid_t id = id_in_descriptor(mm_os_self());
    atomic_store_explicit(&descriptor_is_known, id == 0 || id == mm_os_thread_id(),
                          memory_order_relaxed);
    atomic_store_explicit(&memory_owner, mm_os_process_id(), memory_order_relaxed);
}

bool mm_os_is_guest(void)
{
    pid_t owner = atomic_load_explicit(&memory_owner, memory_order_relaxed);
    return owner != 0 && owner != mm_os_process_id();
}

/* --- a thread's stack: libc keeps its lowest address and, next to it, its size in the thread's
 *     descriptor, which itself lies at the top; where in it is not the same in every libc --- */

#define STACK_MOST ((uintptr_t)1 << 36) /* less than any address is in its place */
#define ABOVE_MOST ((uintptr_t)1 << 20) /* of the descriptor and thread-local storage */

static bool find_lowest(uintptr_t thread, uintptr_t *low)
{
    const uintptr_t *words = (const uintptr_t *)thread;
    for (size_t i = 0; i + 1 < DESCRIPTOR_LEAST / sizeof *words; i++) {
        uintptr_t start = words[i], size = words[i + 1];
        if (start < thread && size < STACK_MOST && thread - start < size &&
            size - (thread - start) <= ABOVE_MOST) {
            *low = start;
            return true;
        }
    }
    return false;
}

bool mm_os_stack_of(pthread_t thread, uintptr_t *low)
{
    return find_lowest(thread, low);
}

bool mm_os_is_descriptor(uintptr_t address, const uintptr_t words[static 3])
{
#ifdef __x86_64__
    return words[0] == address && words[2] == address;
#else
    (void)address;
    (void)words;
    return false;
#endif
}

/* Below the main thread's the kernel keeps at least 128 MiB free, as far as it may ever grow. */
#define MAIN_STACK_MOST ((size_t)64 << 20)

/* Asked for once: a sandbox that is closed later may not allow it. */
static size_t main_stack_most(void)
{
    static _Atomic size_t known;
    size_t size = atomic_load_explicit(&known, memory_order_relaxed);
    if (size == 0) {
        size = mm_os_stack_limit();
        size = size < MAIN_STACK_MOST ? size : MAIN_STACK_MOST;
        atomic_store_explicit(&known, size, memory_order_relaxed);
    }
    return size;
}

uintptr_t mm_os_home_stack(uintptr_t *low)
{
    uintptr_t thread = (uintptr_t)mm_os_self(), main_end = (uintptr_t)__libc_stack_end;
    /* In a fork()'s child the thread that called it passes for the main one, with its own stack. */
    if (mm_os_own_id() != atomic_load_explicit(&memory_owner, memory_order_relaxed) ||
        (uintptr_t)__builtin_frame_address(0) <= thread)
        return find_lowest(thread, low) ? thread : 0;
    *low = main_end - main_stack_most();
    return main_end;
}

pid_t mm_os_thread_id(void)
{
    return mm_kernel_thread_id();
}

/* Not by snprintf(), which takes 2 KiB of stack. */
static void write_task_path(pid_t thread, char path[static 64])
{
    static const char before[] = "/proc/self/task/", after[] = "/comm";
    char digits[16], *first = digits + sizeof digits;
    do
        *--first = (char)('0' + thread % 10);
    while ((thread /= 10) > 0);
    size_t count = (size_t)(digits + sizeof digits - first);
    memcpy(path, before, sizeof before - 1);
    memcpy(path + sizeof before - 1, first, count);
    memcpy(path + sizeof before - 1 + count, after, sizeof after);
}

static size_t read_thread_name(pid_t thread, char name[static MM_THREAD_NAME])
{
    char path[64];
    if (thread == mm_os_thread_id())
        return mm_kernel_own_name(name) ? strlen(name) : 0;
    write_task_path(thread, path);
    int fd = mm_os_open_read(path);
    if (fd < 0)
        return 0;
    size_t length = mm_os_read(fd, name, MM_THREAD_NAME);
    mm_os_close(fd);
    return length > 0 ? length - 1 : 0; /* the line end */
}

static void make_plain(char name[static MM_THREAD_NAME], size_t length)
{
    if (length == 0)
        name[length++] = '?';
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            name[i] = '?';
    }
    name[length] = '\0';
}

void mm_os_thread_name(pid_t thread, char name[static MM_THREAD_NAME])
{
    make_plain(name, read_thread_name(thread, name));
}

void mm_os_name_as_given(const char *given, char name[static MM_THREAD_NAME])
{
    size_t length = strnlen(given, MM_THREAD_NAME - 1);
    memcpy(name, given, length);
    make_plain(name, length);
}
