#!/bin/bash
# `<&- >&- 2>&-`: standard streams closed one by one and all together; no descriptor is taken in their place.
. "${0%/*}/../compare.sh"

# Prints into descriptor 3 which descriptors are open, and opens one to see its number.
read -r -d '' list_descriptors <<'END' || true
open my $out, ">>&=", 3; opendir my $d, "/proc/self/fd"; my $own = fileno $d;
my @open = grep { /^\d+$/ && $_ != $own } readdir $d; closedir $d;
my @blocks = map { "x" x ($_ % 5000) } 1 .. 5000;
open my $f, "<", "/dev/null"; syswrite $out, join(" ", sort(@open), "next", fileno $f) . "\n";
END

work() {
    exec 3>listed
    perl -e "$list_descriptors"
    perl -e "$list_descriptors" <&-
    perl -e "$list_descriptors" >&-
    perl -e "$list_descriptors" 2>&-
    perl -e "$list_descriptors" <&- >&- 2>&-
    "$PRELOAD_BLOCKS" >&- || echo "ended with $?"
    "$PRELOAD_BLOCKS" <&- 2>&- || echo "ended with $?"
    "$PRELOAD_BLOCKS" <&- >&- 2>&- || echo "ended with $?"
    bash -c 'for i in {1..200}; do echo $i; done | sort | tail -n 1' <&- 2>&-
    exec 3>&-
    cat listed
}
compare work
