/* kernel.h - system calls made past libc, for os.c alone. Another preloaded library may stand in
 * libc's place, and if its mmap() allocates it comes back to us, where this thread holds a lock.
 *
 * Each does what libc's function of the same name does, and leaves errno alone. */
#ifndef MM_KERNEL_H
#define MM_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

/* Private and of no file; NULL when refused. */
void *mm_kernel_mmap(size_t size, int access);
bool mm_kernel_mprotect(void *start, size_t size, int access);
bool mm_kernel_madvise(void *start, size_t size, int advice);
bool mm_kernel_munmap(void *start, size_t size);
bool mm_kernel_getrlimit(int resource, struct rlimit *limit);
bool mm_kernel_sysinfo(struct sysinfo *info);

#endif
