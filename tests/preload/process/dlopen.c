/* dlopen() and dlmopen() search on behalf of their caller: its DT_RUNPATH, its $ORIGIN, its
 * namespace. An interposed one must not become the caller itself.
 * usage: dlopen OUTER_LIBRARY, which has a DT_RUNPATH of $ORIGIN/plugins */
#include "check.h"

#include <dlfcn.h>
#include <string.h>

static void check_plugin(void *plugin)
{
    int (*work)(void);

    if (plugin == NULL)
        check_failed(__FILE__, __LINE__, dlerror());
    work = (int (*)(void))dlsym(plugin, "dlopen_plugin_work");
    CHECK(work != NULL);
    CHECK(work() > 10);
    CHECK(dlclose(plugin) == 0);
}

static void check_not_found(const char *name)
{
    const char *error;

    CHECK(dlopen(name, RTLD_NOW) == NULL);
    error = dlerror();
    CHECK(error != NULL && strstr(error, "cannot open shared object file") != NULL);
    CHECK(dlerror() == NULL);
}

int main(int argc, char **argv)
{
    void *outer;
    void *(*open)(const char *);
    void *(*open_in)(Lmid_t, const char *);

    CHECK(argc == 2);
    outer = dlopen(argv[1], RTLD_LAZY);
    CHECK(outer != NULL);
    open = (void *(*)(const char *))dlsym(outer, "dlopen_outer_open");
    open_in = (void *(*)(Lmid_t, const char *))dlsym(outer, "dlopen_outer_open_in");
    CHECK(open != NULL && open_in != NULL);

    check_not_found("libprocess_dlopen_plugin.so");
    check_not_found("$ORIGIN/plugins/libprocess_dlopen_plugin.so");
    check_not_found("/no/such/file");
    for (int i = 0; i < 10; i++) {
        check_plugin(open("libprocess_dlopen_plugin.so"));
        check_plugin(open("$ORIGIN/plugins/libprocess_dlopen_plugin.so"));
        check_plugin(open_in(LM_ID_BASE, "libprocess_dlopen_plugin.so"));
    }
    check_plugin(open_in(LM_ID_NEWLM, "libprocess_dlopen_plugin.so"));
    check_plugin(open_in(LM_ID_NEWLM, "$ORIGIN/plugins/libprocess_dlopen_plugin.so"));

    CHECK(dlopen(argv[1], RTLD_LAZY | RTLD_NOLOAD) == outer);
    CHECK(dlopen(NULL, RTLD_LAZY) != NULL);
    return 0;
}
