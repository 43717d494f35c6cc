# shellcheck shell=bash disable=SC2154
# Sourced by cases that put a few programs of every system into a condition.

# run_mixture [COMMAND...] - runs them, each by this command.
run_mixture() {
    "$@" "$PRELOAD_BLOCKS"
    "$@" "$PRELOAD_BLOCKS" keep
    "$@" bash "$inputs/work.bash" one two
    "$@" perl -e '@a = map { $_ x ($_ % 50) } 1 .. 50000; print length(join ",", sort @a), "\n"'
    seq 100000 | "$@" sort -r | cksum
}
