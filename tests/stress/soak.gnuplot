# soak.gnuplot - resident memory and mappings over time. Set by the caller: data (what soak.c wrote),
# output (a path without its ending).
set datafile separator ","
stats data using 1 skip 1 nooutput
# Minutes, but for short runs.
scale = STATS_max > 180 ? 60.0 : 1.0

do for [kind in "svg png"] {
    if (kind eq "svg") {
        set terminal svg size 960, 480 font "sans-serif,12" noenhanced background rgb "white"
    } else {
        set terminal pngcairo size 1440, 720 font "sans-serif,16" noenhanced
    }
    set output output . "." . kind
    set title "Resident memory and mappings under libmmshim.so"
    set xlabel (scale == 60 ? "minutes" : "seconds")
    set ylabel "MiB"
    set y2label "mappings"
    set ytics nomirror
    set y2tics
    set yrange [0:*]
    set y2range [0:*]
    set grid
    set key bottom right
    plot data skip 1 using ($1 / scale):($2 / 1024) with lines lc rgb "#d7263d" title "resident memory", \
        data skip 1 using ($1 / scale):3 axes x1y2 with lines lc rgb "#1b6ca8" title "mappings"
    set output
}
