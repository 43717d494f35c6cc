/* planted_library.c - thread-local storage of a library, linked and loaded late. */
_Thread_local void *tls_of_library;

void **tls_place_of_plugin(void)
{
    return &tls_of_library;
}
