/* loaded.c - which module an address is in, whether it stays, and what tells one from another in
 * its place; with the dynamic linker's lock held by another thread. Built twice: as the libc of
 * this machine finds modules, and by their list, as is done where it does not. */
#include "stacks/loaded.h"

#include "check.h"
#include "stacks/module.h"
#include "stacks/unwinder.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HUGEST_PAGE ((uintptr_t)65536)

#define COPY "./unit_loaded_" WAY ".so"

static struct mm_loaded found;

int main(int argc, char **argv);

static void of_each_kind(void)
{
    void *block = malloc(1);
    CHECK(mm_loaded_find((uintptr_t)of_each_kind, &found) && mm_loaded_stays(&found));
    CHECK((uintptr_t)main - found.start < found.end - found.start);
    CHECK_EQUAL(mm_loaded_stamp((uintptr_t)of_each_kind, &found), 0);
    CHECK(mm_loaded_find((uintptr_t)qsort, &found) && mm_loaded_stays(&found));
    CHECK_EQUAL(mm_loaded_stamp((uintptr_t)qsort, &found), 0);
    CHECK(!mm_loaded_find((uintptr_t)block, &found));
    CHECK(mm_loaded_stamp((uintptr_t)block, &found) != 0 && found.map == NULL);
    CHECK(mm_loaded_linker(&found) && !mm_loaded_stays(&found));
    free(block);
}

/* What the linker tells of a module with its own functions. */
static void as_the_linker_tells(void)
{
    Dl_info info;
    struct link_map *map;
    CHECK(dladdr1((const void *)qsort, &info, (void **)&map, RTLD_DL_LINKMAP) != 0);
    CHECK(mm_loaded_find((uintptr_t)qsort, &found));
    CHECK(found.map == map && found.start == (uintptr_t)info.dli_fbase);
}

/* Where the program, the first module, has no segment, after one that it has; 0: nowhere. */
static int find_hole(struct dl_phdr_info *info, size_t size, void *hole)
{
    uintptr_t end = UINTPTR_MAX;
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + part->p_vaddr;
        if (part->p_type != PT_LOAD)
            continue;
        if (start > end && start - end > 4 * HUGEST_PAGE)
            *(uintptr_t *)hole = end + 2 * HUGEST_PAGE;
        end = start + part->p_memsz;
    }
    return 1;
}

static void between_segments(void)
{
    uintptr_t hole = 0;
    dl_iterate_phdr(find_hole, &hole);
    CHECK(hole != 0 && !mm_loaded_find(hole, &found));
}

/* --- while another thread is inside of the dynamic linker --- */

static _Atomic bool inside, may_leave;

static int stay_inside(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)info;
    (void)size;
    (void)unused;
    atomic_store(&inside, true);
    while (!atomic_load(&may_leave))
        check_yield();
    return 1;
}

static void *iterate(void *unused)
{
    (void)unused;
    dl_iterate_phdr(stay_inside, NULL);
    return NULL;
}

static int walk(void *unused)
{
    struct mm_frames frames;
    (void)unused;
    mm_loaded_changed();
    mm_unwinder_walk(NULL, MM_UNWINDER_MOST, &frames);
    CHECK(frames.count > 3);
    mm_unwinder_walk_from(__builtin_return_address(0), MM_UNWINDER_MOST, true, &frames);
    CHECK(frames.count > 2);
    return 0;
}

/* Through what may be unloaded, and of it. */
static void beside_the_linker(const char *path)
{
    static struct mm_place_text text;
    struct mm_place place;
    pthread_t thread;
    int (*call)(int (*function)(void *), void *with);
    void *plugin = dlopen(path, RTLD_NOW);
    CHECK(plugin != NULL);
    *(void **)&call = dlsym(plugin, "unit_loaded_call");
    CHECK(call != NULL);
    CHECK(pthread_create(&thread, NULL, iterate, NULL) == 0);
    while (!atomic_load(&inside))
        check_yield();
    alarm(60); /* whoever waits for the lock waits for good */
    call(walk, NULL);
    mm_module_place((const char *)call + 1, "program", &place, &text);
    CHECK(place.module != NULL && place.symbol != NULL);
    alarm(0);
    atomic_store(&may_leave, true);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(dlclose(plugin) == 0);
}

/* --- one module in another's place --- */

static void copy(const char *path)
{
    static char bytes[1 << 16];
    ssize_t got;
    int from = open(path, O_RDONLY), to = open(COPY, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    CHECK(from >= 0 && to >= 0);
    while ((got = read(from, bytes, sizeof bytes)) > 0)
        CHECK(write(to, bytes, (size_t)got) == got);
    CHECK(got == 0 && close(from) == 0 && close(to) == 0);
}

struct visit {
    uintptr_t address;
    const struct link_map *map;
    uint32_t stamp, again;
    struct mm_build_id id;
};

static struct visit load(const char *path)
{
    struct visit visit;
    copy(path);
    void *plugin = dlopen(COPY, RTLD_NOW);
    CHECK(plugin != NULL);
    mm_loaded_changed();
    visit.address = (uintptr_t)dlsym(plugin, "unit_loaded_plugin");
    visit.stamp = mm_loaded_stamp(visit.address, &found);
    CHECK(visit.stamp != 0 && found.map != NULL && mm_loaded_is_still(visit.address, visit.stamp));
    visit.map = found.map;
    mm_loaded_build_id(&found, &visit.id);
    mm_loaded_changed();
    visit.again = mm_loaded_stamp(visit.address, &found);
    CHECK(dlclose(plugin) == 0 && unlink(COPY) == 0);
    CHECK(!mm_loaded_find(visit.address, &found));
    return visit;
}

static void in_its_place(const char *one_path, const char *other_path)
{
    struct visit one = load(one_path), other = load(other_path);
    CHECK(one.id.size > 0 && one.id.size == other.id.size);
    CHECK(memcmp(one.id.bytes, other.id.bytes, one.id.size) != 0);
    CHECK(one.stamp != other.stamp);
    if (mm_loaded_quick_stamp() != 0)
        return;
    /* Kept over changes that are not its own. */
    CHECK_EQUAL(one.again, one.stamp);
    struct visit again = load(one_path);
    CHECK(again.address != one.address || again.map != one.map || again.stamp == one.stamp);
}

static void of_files(const char *path)
{
    static char head[1 << 14];
    struct mm_build_id id;
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && read(fd, head, sizeof head) > 4096 && close(fd) == 0);
    struct visit visit = load(path);
    CHECK(mm_loaded_build_id_of_file(head, sizeof head, &id));
    CHECK(id.size == visit.id.size && memcmp(id.bytes, visit.id.bytes, id.size) == 0);
    CHECK(!mm_loaded_build_id_of_file(head, 10, &id));
    memcpy(head, "#!", 2);
    CHECK(!mm_loaded_build_id_of_file(head, sizeof head, &id));
}

int main(int argc, char **argv)
{
    struct mm_unwinder_settings settings = {.own = NULL};
    CHECK(argc == 3 && mm_unwinder_start(&settings));
    of_each_kind();
    as_the_linker_tells();
    between_segments();
    beside_the_linker(argv[1]);
    in_its_place(argv[1], argv[2]);
    of_files(argv[1]);
    mm_unwinder_stop();
    return 0;
}
