/* fault.h - the process's action for SIGSEGV, as the kernel has it, and what the kernel tells of a
 * fault. libc's sigaction() may be another preloaded library's, and keeps books of its own. */
#ifndef MM_FAULT_H
#define MM_FAULT_H

#include "system/kernel.h"
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

typedef void mm_fault_handler(int signal, siginfo_t *info, void *context);

/* Looks up what libc has for it: at the start, while no other thread unloads a module. */
void mm_fault_start(void);

/* The calling thread's handlers that ask for another stack have one from now on, of `size` bytes,
 * unless they had: where its own is full there is no room for any. */
void mm_fault_need_stack(size_t size);

bool mm_fault_action(struct mm_kernel_action *now);
/* `before` is what there was in that moment. */
bool mm_fault_set_action(const struct mm_kernel_action *wanted, struct mm_kernel_action *before);
/* Gives it what a handler returns by: that of `like`, or where that is no handler, libc's. False
 * where none is known. */
bool mm_fault_complete(struct mm_kernel_action *action, const struct mm_kernel_action *like);
/* Whether the calling thread blocks it: a fault then ends the process. */
bool mm_fault_is_blocked(void);
/* The process is to end by it as if nobody had caught it: once the handler that got `info` returns,
 * with its registers. */
void mm_fault_end_by(siginfo_t *info);

/* What faulted, by the handler's `context`: where it is, and whether it wrote, if that is told. */
enum mm_fault_access { MM_FAULT_UNKNOWN, MM_FAULT_READ, MM_FAULT_WRITE };
enum mm_fault_access mm_fault_access(const void *context);
uintptr_t mm_fault_pc(const void *context);
/* An address that no memory can have, where the instruction went for such; the kernel does not tell
 * it. 0: it did not, or it is not known. */
uintptr_t mm_fault_wild_address(const void *context);
/* Whether a register has such a value, of those that may name that address; no system is asked. */
bool mm_fault_has_register(const void *context, bool (*is)(uintptr_t value));
/* The stack pointer. */
uintptr_t mm_fault_stack(const void *context);
/* Bytes left of the other stack that the handler runs on; SIZE_MAX where that is the thread's. */
size_t mm_fault_stack_left(const void *context);
/* Calls it on a stack of so many bytes. */
void mm_fault_call_on(const char *stack, size_t size, void (*function)(void *), void *argument);

#endif
