#!/bin/bash
# chroot: a root directory without /proc, /dev and /sys.
. "${0%/*}/../compare.sh"
enter=(chroot)
[ "$(id -u)" = 0 ] || enter=(unshare --map-root-user chroot)
"${enter[@]}" / true 2>/dev/null || skip "chroot is not allowed here"

# A root with these programs and the libraries they need. The shim has the same path in it.
root_dir=$work/root
mkdir -p "$root_dir/tmp" "$root_dir/dev" "$root_dir$work"
touch "$root_dir/dev/null" # perl insists
cp "$shim" "$root_dir$shim"
for program in bash sort seq cat perl "$PRELOAD_BLOCKS"; do
    path=$(command -v "$program")
    { echo "$path"; ldd "$path" | grep -o '/[^ ]*'; } | while read -r file; do
        mkdir -p "$root_dir${file%/*}"
        cp -L "$file" "$root_dir$file"
    done
done
mkdir -p "$root_dir/inputs"
cp "$inputs/work.bash" "$inputs/work.dash" "$root_dir/inputs"

work() {
    "${enter[@]}" "$root_dir" "$(command -v bash)" -c '
        "$1"; "$1" keep
        for i in {1..300}; do echo "$i"; done | sort -rn | cat
        perl -e "print length(join q(,), map { \$_ x 30 } 1 .. 20000), qq(\n); fork; wait; print qq(\$!\n) unless open F, q(/proc/self/maps)"
    ' bash "$PRELOAD_BLOCKS"
}
compare work

LD_PRELOAD=$shim "${enter[@]}" "$root_dir" "$PRELOAD_BLOCKS" double-free >"$work/stdout" 2>"$work/stderr" || true
grep -q 'ERROR: mmshim: double-free' "$work/stderr" || {
    cat "$work/stderr"
    fail "a double free without /proc was to be reported"
}
