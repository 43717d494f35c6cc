/* One of two libraries of one layout, which differ in what it says. */
const char *unit_loaded_plugin(void);

const char *unit_loaded_plugin(void)
{
    return TEXT;
}
