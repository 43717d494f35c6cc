/* A user of libmemory_manager.a: 0 when a double free comes to its callback, and nothing else. */
#include <memory_manager.h>

static void count_misuse(const struct mem_mngr_misuse *misuse, void *user)
{
    int *double_frees = user;
    *double_frees += misuse->kind == MEM_MNGR_DOUBLE_FREE ? 1 : 100;
}

int main(void)
{
    int double_frees = 0;
    struct mem_mngr_config config = {.on_misuse = count_misuse, .user = &double_frees};
    if (mem_mngr_init_with(&config) != 0)
        return 2;
    void *block = mem_mngr_alloc(40);
    mem_mngr_free(block);
    mem_mngr_free(block);
    return mem_mngr_leave() == 0 && double_frees == 1 ? 0 : 1;
}
