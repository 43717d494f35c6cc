/* Functions whose frames differ from plugin to plugin. */
int plugin_work(int depth);

int plugin_work(int depth)
{
    char bytes[FRAME];
    __asm__ volatile("" : : "r"(bytes) : "memory");
    return depth > 0 ? plugin_work(depth - 1) + 1 : 0;
}

int plugin_free_twice(void *block, void (*give_back)(void *));

int plugin_free_twice(void *block, void (*give_back)(void *))
{
    char bytes[FRAME];
    __asm__ volatile("" : : "r"(bytes) : "memory");
    give_back(block);
    give_back(block);
    return bytes[0];
}
