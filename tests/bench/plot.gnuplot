# plot.gnuplot - the picture of a run: each row's time and peak memory under each allocator, in parts of
# glibc's. Set by the caller: data (what report.awk wrote), output (a path without its ending), caption.
set datafile missing "-"
stats data using 2 skip 1 nooutput
rows = int(STATS_max)
height = 150 + 19 * rows
# A row's name and place, then two columns an allocator, time and memory: glibc's, which are the line
# at 1, the shim's, and the peers'.
allocators = (STATS_columns - 2) / 2
column_of(allocator, what) = 2 * allocator + what

set linetype 1 lc rgb "#d7263d" pt 7 ps 1.3
set linetype 2 lc rgb "#1b6ca8" pt 4 ps 0.9
set linetype 3 lc rgb "#3a8f4d" pt 8 ps 0.9
set linetype 4 lc rgb "#8a6bbe" pt 10 ps 0.9
set linetype 5 lc rgb "#9a8478" pt 12 ps 0.9

do for [kind in "svg png"] {
    # White also where the page is dark.
    if (kind eq "svg") {
        set terminal svg size 960, height font "sans-serif,12" noenhanced background rgb "white"
    } else {
        set terminal pngcairo size 1440, height * 3 / 2 font "sans-serif,11" fontscale 1.5 linewidth 1.5 \
            pointscale 1.5 noenhanced
    }
    set output output . "." . kind
    set multiplot
    set key at screen 0.5, screen 1 - 62.0 / height center maxrows 1 samplen 0 width 2 reverse Left
    set label 1 "Time and peak memory, glibc's malloc = 1: less is better" \
        at screen 0.5, screen 1 - 18.0 / height center font ",15"
    set label 2 caption at screen 0.5, screen 1 - 40.0 / height center tc rgb "#666666"
    set logscale x 2
    set yrange [0.3:rows + 0.7]
    set grid x y lt 1 lc rgb "#e4e4e4" lw 0.7
    set border 1 lc rgb "#888888"
    set tics scale 0 tc rgb "#222222"
    set xtics nomirror
    set arrow 1 from first 1, graph 0 to first 1, graph 1 nohead lc rgb "#444444" lw 1.5
    set tmargin at screen 1 - 85.0 / height
    set bmargin at screen 55.0 / height
    do for [what = 1:2] {
        set lmargin at screen (what == 1 ? 0.14 : 0.63)
        set rmargin at screen (what == 1 ? 0.49 : 0.98)
        set xlabel (what == 1 ? "time" : "peak memory")
        # The shim's points are drawn again, to lie on top.
        plot for [i = 2:allocators] data using (column(column_of(i, what))):2:ytic(1) \
            with points lt i - 1 title columnhead(column_of(i, what)), \
            data using (column(column_of(2, what))):2 with points lt 1 notitle
        unset key
        unset label
    }
    unset multiplot
    set output
}
