#!/usr/bin/env bash
# calls.sh NM OBJECT;OBJECT... - what the seam's build of src/system/os*.c calls: the seam, or what
# is listed here because it cannot fail. A new call there belongs into seam.def, and into what faults.c
# does.
set -euo pipefail

cannot_fail='_IO_list_lock _IO_list_resetlock _IO_list_unlock __errno_location __libc_stack_end bcmp getauxval
    memcmp memcpy memset mm_kernel_alarm mm_kernel_can_read mm_kernel_close_range mm_kernel_die_with_parent
    mm_kernel_exit_group mm_kernel_futex_wait mm_kernel_futex_wake mm_kernel_kill mm_kernel_nap mm_kernel_signal_thread
    mm_kernel_parent_id mm_kernel_process_id mm_kernel_shares_memory
    mm_kernel_thread_id mm_libc_error_text mm_libc_is_old mm_libc_single_threaded
    sigaddset sigdelset sigemptyset sigfillset sigismember strlen strnlen'
# Not their own, and of each other.
of_instrumentation='_GLOBAL_OFFSET_TABLE_|mm_os_.*|__(asan|ubsan|tsan|gcov|llvm|sanitizer|stack_chk)_.*'

IFS=';' read -ra objects <<<"$2"
status=0
while read -r name; do
    case " ${cannot_fail//$'\n'/ } " in
    *" $name "*) ;;
    *)
        echo "src/system/os*.c calls $name, which seam.def does not list"
        status=1
        ;;
    esac
done < <("$1" -A --undefined-only --format=posix "${objects[@]}" | sed 's/.*: //' | cut -d ' ' -f 1 |
    grep -vxE "seam_.*|$of_instrumentation")
exit $status
