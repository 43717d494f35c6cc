/* One of two libraries of one layout, which differ in what it says, and call back. */
const char *unit_loaded_plugin(void);
int unit_loaded_call(int (*function)(void *), void *with);

const char *unit_loaded_plugin(void)
{
    return TEXT;
}

int unit_loaded_call(int (*function)(void *), void *with)
{
    int result = function(with);
    __asm__ volatile("");
    return result;
}
