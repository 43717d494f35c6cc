/* bounds_early.h - functions of memory and strings, plainly, for who calls them before libc's are
 * known: the dynamic linker's relocations, resolvers, other libraries' constructors. */
#ifndef BOUNDS_EARLY_H
#define BOUNDS_EARLY_H

#include <stddef.h>

void *bounds_early_memcpy(void *to, const void *from, size_t size);
void *bounds_early_mempcpy(void *to, const void *from, size_t size);
void *bounds_early_memmove(void *to, const void *from, size_t size);
void *bounds_early_memset(void *to, int byte, size_t size);
int bounds_early_memcmp(const void *first, const void *second, size_t size);
void *bounds_early_memchr(const void *in, int byte, size_t size);
void *bounds_early_memrchr(const void *in, int byte, size_t size);
void *bounds_early_rawmemchr(const void *in, int byte);
size_t bounds_early_strlen(const char *text);
size_t bounds_early_strnlen(const char *text, size_t most);
char *bounds_early_strcpy(char *to, const char *from);
char *bounds_early_stpcpy(char *to, const char *from);
char *bounds_early_strncpy(char *to, const char *from, size_t size);
char *bounds_early_strcat(char *to, const char *from);
char *bounds_early_strncat(char *to, const char *from, size_t most);
int bounds_early_strcmp(const char *first, const char *second);
int bounds_early_strncmp(const char *first, const char *second, size_t most);
char *bounds_early_strchr(const char *text, int letter);
char *bounds_early_strrchr(const char *text, int letter);
char *bounds_early_strchrnul(const char *text, int letter);
char *bounds_early_strstr(const char *text, const char *wanted);
size_t bounds_early_strlcpy(char *to, const char *from, size_t size);
size_t bounds_early_strlcat(char *to, const char *from, size_t size);

#endif
