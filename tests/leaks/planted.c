/* planted.c - leaks and what looks like one, a case each. What is to be told stands in
 * planted.expected. */
#include "planted.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define QUIET __attribute__((noinline))

void *global;
static void *volatile in_static;
static _Thread_local void *volatile in_tls;
extern _Thread_local void *tls_of_library;
void **tls_place_of_plugin(void);

/* --- lost blocks --- */

static void direct(void)
{
    take(101);
}

static void direct_forwarded(void)
{
    take(200101);
}

static void overwritten(void)
{
    global = take(102);
    global = take(103);
}

static void chain(void)
{
    void **first = take(104), **second = take(105);
    first[0] = second;
    second[1] = take(106);
}

static void chain_of_forwarded(void)
{
    void **first = take(200104);
    first[1000] = take(107);
}

static void long_list(void)
{
    void **first = take(1000), **last = first;
    for (int i = 0; i < 999; i++)
        last = *last = take(64);
}

static void ring(void)
{
    void **one = take(108), **two = take(109);
    one[0] = two;
    two[0] = one;
}

static void ring_of_one(void)
{
    void **one = take(110);
    one[0] = one;
}

static void ring_below(void)
{
    void **top = take(111), **one = take(112), **two = take(113);
    top[0] = one;
    one[0] = two;
    two[0] = one;
}

static void tree_half_kept(void)
{
    void **top = take(114), **left = take(115), **right = take(116);
    top[0] = left;
    top[1] = right;
    left[0] = take(117);
    right[0] = take(118);
    global = right;
}

static void holder_freed(void)
{
    void **holder = take(119);
    holder[3] = take(120);
    free(hidden(holder));
}

static void table_freed(void)
{
    void **table = take(200119);
    for (int i = 0; i < 5; i++)
        table[i * 1000] = take((size_t)121 + (size_t)i);
    free(hidden(table));
}

static void moved(void)
{
    void **block = take(126);
    global = realloc(block, 5000);
    global = NULL;
}

static void of_other_functions(void)
{
    void *aligned = NULL;
    hidden(calloc(1, 127));
    if (posix_memalign(&aligned, 256, 128) != 0)
        abort();
    hidden(strdup("a text of twenty five, yes"));
}

static void pointer_behind(void)
{
    global = (char *)take(48) + 48;
}

static void pointer_before(void)
{
    global = (char *)take(48) - 1;
}

static void in_unused_stack(void)
{
    void *volatile place[16];
    place[7] = take(129);
    (void)place;
}

/* --- kept ones --- */

static void kept_global(void)
{
    global = take(201);
}

static void kept_static(void)
{
    in_static = take(202);
}

static void kept_interior(void)
{
    global = (char *)take(203) + 100;
}

static void kept_interior_forwarded(void)
{
    global = (char *)take(200203) + 100000;
}

static void kept_by_forwarded(void)
{
    void **table = take(200204);
    table[20000] = take(204);
    global = table;
}

QUIET static void end_here(void *volatile block)
{
    exit(block == NULL);
}

static void kept_on_stack(void)
{
    end_here(take(205));
}

/* An interpreter's own arenas. */
static void kept_in_mapping(void)
{
    void **mapped = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mapped[70000] = take(206);
}

static void kept_in_epoll(void)
{
    int ends[2], poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = take(207)};
    if (pipe(ends) != 0 || epoll_ctl(poll, EPOLL_CTL_ADD, ends[0], &event) != 0)
        abort();
    event.data.ptr = NULL;
    hidden(&event);
}

/* --- thread-local storage --- */

static void kept_in_tls(void)
{
    in_tls = take(208);
}

static void kept_in_tls_of_library(void)
{
    tls_of_library = take(209);
}

static void kept_in_tls_of_plugin(void)
{
    void *plugin = dlopen(getenv("PLANTED_PLUGIN"), RTLD_NOW);
    void **(*place)(void) = (void **(*)(void))dlsym(plugin, "tls_place_of_plugin");
    *place() = take(210);
}

static void kept_by_key(void)
{
    pthread_key_t key;
    pthread_key_create(&key, NULL);
    pthread_setspecific(key, take(211));
}

static void kept_by_late_key(void)
{
    pthread_key_t key;
    for (int i = 0; i < 100; i++)
        pthread_key_create(&key, NULL);
    pthread_setspecific(key, take(212));
}

/* --- threads --- */

static sem_t ready;

static void start_waiting(void *(*body)(void *))
{
    pthread_t thread;
    sem_init(&ready, 0, 0);
    if (pthread_create(&thread, NULL, body, NULL) != 0)
        abort();
    sem_wait(&ready);
}

static void run_to_end(void *(*body)(void *), void *with)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, with) != 0)
        abort();
    pthread_join(thread, NULL);
}

QUIET static void wait_for_ever(void)
{
    sem_post(&ready);
    for (;;)
        pause();
}

static void *wait_with_stack(void *unused)
{
    void *volatile block = take(213);
    wait_for_ever();
    return block != NULL ? unused : NULL;
}

static void kept_on_stack_of_thread(void)
{
    start_waiting(wait_with_stack);
}

static void *spin_with_register(void *unused)
{
    void *block = take(214);
    wipe();
    sem_post(&ready);
#ifdef __x86_64__
    __asm__ volatile("mov %0, %%r11\n\txor %k0, %k0\n\t1: pause\n\ttest %%r11, %%r11\n\tjnz 1b"
                     : "+r"(block)
                     :
                     : "r11");
#else
    for (;;)
        hidden(block);
#endif
    return unused;
}

static void kept_in_register_of_thread(void)
{
    start_waiting(spin_with_register);
}

static void *wait_with_all_blocked(void *unused)
{
    void *volatile block = take(215);
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    wait_for_ever();
    return block != NULL ? unused : NULL;
}

static void kept_where_signals_are_blocked(void)
{
    start_waiting(wait_with_all_blocked);
}

static void *wait_with_tls(void *unused)
{
    in_tls = take(216);
    tls_of_library = take(217);
    wait_for_ever();
    return unused;
}

static void kept_in_tls_of_thread(void)
{
    start_waiting(wait_with_tls);
}

static void *wait_with_key(void *unused)
{
    pthread_key_t key;
    pthread_key_create(&key, NULL);
    pthread_setspecific(key, take(218));
    wait_for_ever();
    return unused;
}

static void kept_by_key_of_thread(void)
{
    start_waiting(wait_with_key);
}

static void *use_stack(void *with)
{
    void *volatile block = take(130);
    in_tls = take(131);
    return block != NULL ? with : NULL;
}

static void lost_by_joined_thread(void)
{
    run_to_end(use_stack, NULL);
}

static void *take_argument(void *with)
{
    void *volatile block = with;
    return block != NULL ? NULL : with;
}

static void lost_argument_of_joined_thread(void)
{
    run_to_end(take_argument, take(132));
}

static void *give_result(void *unused)
{
    (void)unused;
    return take(219);
}

static void kept_as_result(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, give_result, NULL) != 0)
        abort();
    usleep(100000);
}

/* A coroutine whose stack is a block. */
static ucontext_t here, there;

static void on_other_stack(void)
{
    void *volatile block = take(220);
    swapcontext(&there, &here);
    abort();
    (void)block;
}

static void kept_on_stack_in_block(void)
{
    getcontext(&there);
    there.uc_stack.ss_sp = take(40000);
    there.uc_stack.ss_size = 40000;
    makecontext(&there, on_other_stack, 0);
    swapcontext(&here, &there);
}

static void in_child(void)
{
    take(133);
    pid_t child = fork();
    if (child == 0) {
        wipe();
        take(134);
        wipe();
        exit(0);
    }
    waitpid(child, NULL, 0);
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }
static const struct planted cases[] = {
    CASE(direct),
    CASE(direct_forwarded),
    CASE(overwritten),
    CASE(chain),
    CASE(chain_of_forwarded),
    CASE(long_list),
    CASE(ring),
    CASE(ring_of_one),
    CASE(ring_below),
    CASE(tree_half_kept),
    CASE(holder_freed),
    CASE(table_freed),
    CASE(moved),
    CASE(of_other_functions),
    CASE(pointer_behind),
    CASE(pointer_before),
    CASE(in_unused_stack),
    CASE(kept_global),
    CASE(kept_static),
    CASE(kept_interior),
    CASE(kept_interior_forwarded),
    CASE(kept_by_forwarded),
    CASE(kept_on_stack),
    CASE(kept_in_mapping),
    CASE(kept_in_epoll),
    CASE(kept_in_tls),
    CASE(kept_in_tls_of_library),
    CASE(kept_in_tls_of_plugin),
    CASE(kept_by_key),
    CASE(kept_by_late_key),
    CASE(kept_on_stack_of_thread),
    CASE(kept_in_register_of_thread),
    CASE(kept_where_signals_are_blocked),
    CASE(kept_in_tls_of_thread),
    CASE(kept_by_key_of_thread),
    CASE(lost_by_joined_thread),
    CASE(lost_argument_of_joined_thread),
    CASE(kept_as_result),
    CASE(kept_on_stack_in_block),
    CASE(in_child),
};

int main(int argc, char **argv)
{
    return planted_main(cases, sizeof cases / sizeof cases[0], argc, argv);
}
