#!/bin/bash
# gnuplot: functions, data, a fit and a surface, as SVG, PNG and text.
# packages: gnuplot-nox
. "${0%/*}/../compare.sh"
need gnuplot

work() {
    seq 500 | awk '{ print $1, $1 * $1 % 97 }' >data
    gnuplot <<'END'
set print "results"
f(x) = a * x + b
set fit quiet logfile '/dev/null'
fit f(x) 'data' via a, b
print sprintf("%.6f %.6f", a, b)
set terminal svg size 600,400; set output 'lines.svg'
plot 'data' with lines, f(x), sin(x / 10) * 50 with filledcurves
set terminal dumb 100 30; set output 'text'
plot 'data' smooth bezier
set terminal pngcairo size 400,300; set output 'varying/surface.png'
set pm3d; set isosamples 60
splot sin(x) * cos(y)
stats 'data' nooutput
print STATS_records, STATS_mean_y
END
    cat results
    status gnuplot -e 'plot nonsense('
}
compare work
