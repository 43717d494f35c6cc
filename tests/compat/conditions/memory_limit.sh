#!/bin/bash
# a memory cgroup: a program that fits into 64 MiB still does, whatever its blocks were before.
. "${0%/*}/../compare.sh"
need_little_memory

# The groups' own folders, of both versions. What runs here may be in a group that has no more room.
make_group() {
    local mounts version path limit
    while read -r _ mounts version _; do
        case $version in
        cgroup) limit=memory.limit_in_bytes ;;
        cgroup2) limit=memory.max ;;
        *) continue ;;
        esac
        path=$(awk -F : -v version="$version" '
            (version == "cgroup" && "," $2 "," ~ /,memory,/) || (version == "cgroup2" && $2 == "") { print $3 }
            ' /proc/self/cgroup)
        group_dir=$mounts$path/mmshim-test-$$
        mkdir "$group_dir" 2>/dev/null || continue
        echo $((64 << 20)) 2>/dev/null >"$group_dir/$limit" && return
        rmdir "$group_dir"
    done </proc/mounts
    return 1
}

make_group || skip "needs a memory cgroup that it may divide"

work() {
    (
        echo "$BASHPID" >"$group_dir/cgroup.procs"
        exec "$PRELOAD_BLOCKS" phases
    )
}
trap 'rmdir "$group_dir"; cleanup' EXIT
compare work
