/* A library to be opened late whose thread-local data must fit into the static TLS block: what a
 * preloaded library may not use up. */
static __thread char bytes[256] __attribute__((tls_model("initial-exec")));

int tls_static_touch(void);
int tls_static_touch(void)
{
    return ++bytes[255];
}
