// The life and end of threads: mallocs and frees in every destructor that libc runs at a thread's
// end, blocks that outlive their thread, and memory that stays flat over thousands of threads.
#include "check.h"

#include <atomic>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <memory>
#include <pthread.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace
{

constexpr size_t Threads_at_once = 8;
constexpr size_t Key_count = 6;
constexpr unsigned Rounds = PTHREAD_DESTRUCTOR_ITERATIONS;

// Slots of several lists, a large slot, a forwarded block.
constexpr size_t Sizes[] = {1, 16, 40, 100, 500, 1024, 1025, 5000, 30000, 100000};
constexpr size_t Size_count = sizeof(Sizes) / sizeof(Sizes[0]);

struct Blocks {
    void *block[Size_count];

    void allocate(unsigned seed)
    {
        for (size_t i = 0; i < Size_count; i++) {
            block[i] = malloc(Sizes[i]);
            CHECK(block[i] != nullptr);
            fill(block[i], Sizes[i], seed);
        }
    }
    void release(unsigned seed)
    {
        for (size_t i = 0; i < Size_count; i++) {
            CHECK(filled(block[i], Sizes[i], seed));
            free(block[i]);
        }
    }
};

// A value that lives through all rounds of destructors: each frees what the one before it
// allocated, and only the last leaves nothing.
struct Key_value {
    size_t key;
    unsigned round;
    Blocks blocks;
};

pthread_key_t keys[Key_count];
std::atomic<unsigned> rounds_run;

void destroy_key_value(void *pointer)
{
    Key_value *value = static_cast<Key_value *>(pointer);

    rounds_run++;
    value->blocks.release(value->round);
    value->round++;
    if (value->round == Rounds) {
        free(value);
        return;
    }
    value->blocks.allocate(value->round);
    CHECK(pthread_setspecific(keys[value->key], value) == 0);
}

// Destructors run in the order of keys. The first is made here, before the shim can have one,
// the others in main(), after it has.
void make_first_key(int, char **, char **)
{
    CHECK(pthread_key_create(&keys[0], destroy_key_value) == 0);
}

__attribute__((section(".preinit_array"), used)) void (*const preinit)(int, char **,
                                                                       char **) = make_first_key;

// What a destructor of a thread_local does is up to it: this one allocates.
struct Thread_object {
    std::vector<std::string> strings;
    std::unique_ptr<Blocks> blocks{new Blocks};

    Thread_object()
    {
        blocks->allocate(77);
    }
    ~Thread_object()
    {
        for (int i = 0; i < 50; i++)
            strings.emplace_back(static_cast<size_t>(i * 3), 'z');
        blocks->release(77);
        free(malloc(200));
    }
};

thread_local Thread_object thread_object;

void *use_every_destructor(void *)
{
    for (size_t i = 0; i < Key_count; i++) {
        Key_value *value = static_cast<Key_value *>(malloc(sizeof(*value)));

        CHECK(value != nullptr);
        value->key = i;
        value->round = 0;
        value->blocks.allocate(0);
        CHECK(pthread_setspecific(keys[i], value) == 0);
    }
    thread_object.strings.emplace_back(100, 'x');
    return nullptr;
}

void run_threads(size_t count, void *(*run)(void *))
{
    for (size_t i = 0; i < count; i += Threads_at_once) {
        pthread_t threads[Threads_at_once];

        for (pthread_t &thread : threads)
            CHECK(pthread_create(&thread, nullptr, run, nullptr) == 0);
        for (pthread_t &thread : threads)
            CHECK(pthread_join(thread, nullptr) == 0);
    }
}

void test_memory_stays_flat(void *(*run)(void *))
{
    /* What waits to be used again is more at one time than at another. */
    run_threads(400, run);
    malloc_trim(0);
    const size_t before = resident_kib();
    run_threads(1600, run);
    malloc_trim(0);
    const size_t after = resident_kib();
    /* What MM_STACKS keeps of threads and stacks goes on filling its tables. */
    const size_t allowed = getenv("MM_STACKS") != nullptr ? 8192 : 2048;

    if (after > before + allowed)
        dprintf(STDOUT_FILENO, "resident memory: %zu KiB after 400 threads, %zu KiB after 2000\n",
                before, after);
    CHECK(after <= before + allowed);
}

void test_destructors()
{
    rounds_run = 0;
    test_memory_stays_flat(use_every_destructor);
    CHECK(rounds_run == 2000 * Key_count * Rounds);
}

void *run_and_leave_nothing(void *)
{
    Blocks blocks;

    blocks.allocate(3);
    blocks.release(3);
    return nullptr;
}

// The blocks of threads that ended, waiting for others to free them.
constexpr size_t Left = 200;
Blocks left_blocks[Left];
std::atomic<size_t> left_next;

void *leave_blocks(void *)
{
    for (size_t i = 0; i < Left / Threads_at_once; i++) {
        const size_t number = left_next++;

        left_blocks[number].allocate(static_cast<unsigned>(number));
    }
    return nullptr;
}

void *free_left_blocks(void *)
{
    for (size_t i = 0; i < Left / Threads_at_once; i++) {
        const size_t number = --left_next;

        left_blocks[number].release(static_cast<unsigned>(number));
    }
    return nullptr;
}

// Threads allocate and end; then this thread frees all, or new threads do.
void test_blocks_outlive_their_thread()
{
    size_t before = 0;

    for (int round = 0; round < 40; round++) {
        if (round == 10)
            before = resident_kib();
        run_threads(Threads_at_once, leave_blocks);
        CHECK(left_next == Left);
        if (round % 2 == 0) {
            for (size_t i = 0; i < Left; i++)
                left_blocks[i].release(static_cast<unsigned>(i));
            left_next = 0;
        } else {
            run_threads(Threads_at_once, free_left_blocks);
        }
    }
    // One round's blocks are some 27 MiB.
    CHECK(resident_kib() <= before + 16384);
}

void *sleep_forever(void *)
{
    Thread_object &object = thread_object;

    for (;;) {
        object.strings.emplace_back(50, 'c');
        usleep(1000);
    }
}

void test_cancelled_threads()
{
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        void *result;

        CHECK(pthread_create(&thread, nullptr, sleep_forever, nullptr) == 0);
        usleep(2000);
        CHECK(pthread_cancel(thread) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    }
}

void *end_the_process(void *main_thread)
{
    CHECK(pthread_join(*static_cast<pthread_t *>(main_thread), nullptr) == 0);
    run_threads(Threads_at_once, use_every_destructor);
    exit(42);
}

// The main thread ends first, by pthread_exit(), with all its destructors.
[[noreturn]] void leave_main_thread()
{
    static pthread_t main_thread = pthread_self();
    pthread_t thread;

    use_every_destructor(nullptr);
    CHECK(pthread_create(&thread, nullptr, end_the_process, &main_thread) == 0);
    pthread_exit(nullptr);
}

} // namespace

int main(int argc, char **argv)
{
    static char err[1 << 12];

    /* What libc may keep at the ends of its heaps is more at one time than at another. */
    CHECK(mallopt(M_TRIM_THRESHOLD, 128 << 10) == 1);
    for (size_t i = 1; i < Key_count; i++)
        CHECK(pthread_key_create(&keys[i], destroy_key_value) == 0);
    if (argc > 1 && strcmp(argv[1], "leave-main-thread") == 0)
        leave_main_thread();

    test_destructors();
    test_memory_stays_flat(run_and_leave_nothing);
    test_blocks_outlive_their_thread();
    test_cancelled_threads();
    CHECK(exited_with(run_self("leave-main-thread", err, sizeof(err)), 42));
    CHECK(err[0] == '\0');
    return 0;
}
