/* fault.c - see fault.h. `restorer` is found at the start, and where libc's handlers return to. */
#include "system/fault.h"

#include "system/libc.h"
#include "system/operand.h"
#include "system/os.h"
#include "system/peek.h"
#include <errno.h>
#include <stddef.h>
#include <ucontext.h>

#define SA_RESTORES 0x04000000ul /* a handler returns to `restorer` */

typedef int (*sigaction_fn)(int number, const struct sigaction *wanted, struct sigaction *before);
static sigaction_fn libcs;

void mm_fault_start(void)
{
    union {
        void *found;
        sigaction_fn function;
    } libc = {mm_libc_find(MM_LIBC_OWN, "sigaction")};
    libcs = libc.function;
}

void mm_fault_need_stack(size_t size)
{
    stack_t now, wanted = {.ss_size = size};
    if (!mm_kernel_handler_stack(NULL, &now) || !(now.ss_flags & SS_DISABLE))
        return;
    wanted.ss_sp = mm_os_map(size);
    if (wanted.ss_sp != NULL && !mm_kernel_handler_stack(&wanted, NULL))
        mm_os_release(wanted.ss_sp, size);
}

bool mm_fault_action(struct mm_kernel_action *now)
{
    return mm_kernel_action(SIGSEGV, NULL, now);
}

bool mm_fault_set_action(const struct mm_kernel_action *wanted, struct mm_kernel_action *before)
{
    return mm_kernel_action(SIGSEGV, wanted, before);
}

#ifdef __x86_64__
/* What libc adds to an action is what unwinders and debuggers know a handler's frame by. It is seen
 * in what libc sets: the handler that is to be set now. Elsewhere the kernel has its own. */
static void (*learn_restorer(mm_fault_handler *handler))(void)
{
    struct mm_kernel_action set = {0};
    struct sigaction wanted = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    int saved_errno = errno;
    wanted.sa_sigaction = handler;
    if (libcs != NULL && libcs(SIGSEGV, &wanted, NULL) == 0)
        mm_kernel_action(SIGSEGV, NULL, &set);
    errno = saved_errno;
    return set.flags & SA_RESTORES ? set.restorer : NULL;
}
#endif

bool mm_fault_complete(struct mm_kernel_action *action, const struct mm_kernel_action *like)
{
    action->flags |= SA_SIGINFO | (like->flags & SA_RESTORES);
    action->restorer = like->restorer;
#ifdef __x86_64__
    if (!(like->flags & SA_RESTORES)) {
        action->restorer = learn_restorer(action->handler);
        action->flags |= SA_RESTORES;
    }
    return action->restorer != NULL;
#else
    return true;
#endif
}

bool mm_fault_is_blocked(void)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    return mm_kernel_sigmask(SIG_BLOCK, NULL, &blocked) != 0 || sigismember(&blocked, SIGSEGV) == 1;
}

void mm_fault_end_by(siginfo_t *info)
{
    struct mm_kernel_action none = {.handler = NULL}; /* SIG_DFL */
    mm_kernel_action(SIGSEGV, &none, NULL);
    mm_kernel_queue_own(SIGSEGV, info);
}

#if defined __x86_64__
#define FAULT_WROTE 2u

enum mm_fault_access mm_fault_access(const void *context)
{
    const ucontext_t *at = context;
    uint64_t error = (uint64_t)at->uc_mcontext.gregs[REG_ERR];
    return error & FAULT_WROTE ? MM_FAULT_WRITE : MM_FAULT_READ;
}

uintptr_t mm_fault_pc(const void *context)
{
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
}

uintptr_t mm_fault_stack(const void *context)
{
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
}

static void number_registers(const void *context, uintptr_t registers[16])
{
    static const unsigned char numbered[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                               REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                               REG_R12, REG_R13, REG_R14, REG_R15};
    for (unsigned i = 0; i < 16; i++)
        registers[i] = (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[numbered[i]];
}

bool mm_fault_has_register(const void *context, bool (*is)(uintptr_t value))
{
    uintptr_t registers[16];
    number_registers(context, registers);
    for (unsigned i = 0; i < 16; i++) {
        if (is(registers[i]))
            return true;
    }
    return false;
}

uintptr_t mm_fault_wild_address(const void *context)
{
    unsigned char code[MM_OPERAND_CODE];
    uintptr_t registers[16];
    bool returns;
    number_registers(context, registers);
    size_t size = mm_peek(code, mm_fault_pc(context), 1, sizeof code);
    uintptr_t address = mm_operand_address(code, size, registers, &returns);
    if (returns && mm_peek(&address, address, sizeof address, sizeof address) != sizeof address)
        return 0;
    return mm_address_is_wild(address) ? address : 0;
}

static uintptr_t stack_pointer(void)
{
    return (uintptr_t)__builtin_frame_address(0);
}

void mm_fault_call_on(const char *stack, size_t size, void (*function)(void *), void *argument)
{
    uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
    __asm__ volatile("movq %%rsp, %%rbx\n\tmovq %0, %%rsp\n\tcall *%1\n\tmovq %%rbx, %%rsp"
                     : "+r"(top), "+r"(function), "+D"(argument)
                     :
                     : "rbx", "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "cc", "memory",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}
#elif defined __aarch64__
#define MAGIC_OF_ESR 0x45535201u
#define ESR_WROTE    64u

/* What the kernel adds to the registers, one behind the other. */
struct extra {
    uint32_t magic, size;
    uint64_t esr;
};

enum mm_fault_access mm_fault_access(const void *context)
{
    const ucontext_t *at = context;
    const char *from = (const char *)at->uc_mcontext.__reserved;
    const char *end = from + sizeof at->uc_mcontext.__reserved - sizeof(struct extra);
    for (const struct extra *extra = (const void *)from;
         (const char *)extra <= end && extra->magic != 0 && extra->size != 0;
         extra = (const void *)((const char *)extra + extra->size)) {
        if (extra->magic == MAGIC_OF_ESR)
            return extra->esr & ESR_WROTE ? MM_FAULT_WRITE : MM_FAULT_READ;
    }
    return MM_FAULT_UNKNOWN;
}

uintptr_t mm_fault_pc(const void *context)
{
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
}

uintptr_t mm_fault_stack(const void *context)
{
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.sp;
}

bool mm_fault_has_register(const void *context, bool (*is)(uintptr_t value))
{
    (void)context;
    (void)is;
    return false;
}

uintptr_t mm_fault_wild_address(const void *context)
{
    (void)context;
    return 0;
}

static uintptr_t stack_pointer(void)
{
    return (uintptr_t)__builtin_frame_address(0);
}

void mm_fault_call_on(const char *stack, size_t size, void (*function)(void *), void *argument)
{
    register uintptr_t top __asm__("x20") = ((uintptr_t)stack + size) & ~(uintptr_t)15;
    register void *first __asm__("x0") = argument;
    __asm__ volatile("mov x19, sp\n\tmov sp, x20\n\tblr %1\n\tmov sp, x19"
                     : "+r"(first)
                     : "r"(function), "r"(top)
                     : "x19", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
                       "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x30", "cc", "memory", "v0",
                       "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19", "v20",
                       "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
}
#endif

size_t mm_fault_stack_left(const void *context)
{
    const stack_t *other = &((const ucontext_t *)context)->uc_stack;
    uintptr_t here = stack_pointer(), start = (uintptr_t)other->ss_sp;
    if ((other->ss_flags & SS_DISABLE) || here - start >= other->ss_size)
        return SIZE_MAX;
    return here - start;
}
