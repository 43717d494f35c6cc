#!/usr/bin/env bash
# calls.sh NM OBJECT... - what the seam's build of src/os.c and src/os_thread.c calls: the seam, or
# what is listed here because it cannot fail. A new call in these belongs into seam.def, and into what faults.c does.
set -euo pipefail

cannot_fail='_IO_list_lock _IO_list_resetlock _IO_list_unlock __errno_location __libc_stack_end getauxval memcpy memset mm_kernel_alarm pthread_self sigaddset
    sigdelset sigemptyset sigfillset sigismember strerrordesc_np strlen strnlen'
# Each other, and what is not theirs.
of_instrumentation='mm_os_.*|_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|tsan|gcov|llvm|sanitizer|stack_chk)_.*'

status=0
while read -r name; do
    case " ${cannot_fail//$'\n'/ } " in
    *" $name "*) ;;
    *)
        echo "src/os*.c calls $name, which seam.def does not list"
        status=1
        ;;
    esac
done < <("$1" --undefined-only --format=posix "${@:2}" | grep -v ":$" | cut -d ' ' -f 1 |
    grep -vxE "seam_.*|$of_instrumentation")
exit $status
