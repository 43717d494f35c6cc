# soak.awk - the verdict on what soak.c wrote: means over WINDOW seconds, after the first 3 minutes
# (of a short run: 3 tenths of it) and at the end. Memory and mappings may have grown by 5 %.
BEGIN {
    FS = ","
    WINDOW = 30
    SETTLED = 180
    ALLOWED = 1.05
}

NR > 1 {
    n++
    time[n] = $1
    resident[n] = $2
    mappings[n] = $3
    last = $0
}

function mean(values, from, to,    i, count, sum) {
    for (i = 1; i <= n; i++)
        if (time[i] > from && time[i] <= to) {
            sum += values[i]
            count++
        }
    return count ? sum / count : 0
}

function judge(name, unit, early, late,    grown) {
    grown = late > early * ALLOWED
    printf "%s: %.1f %s %s, %.1f %s at the end: %+.1f %%%s\n", name, early, unit, when, late, unit,
        (late / early - 1) * 100, grown ? " - it grows" : ""
    failed = failed || grown
}

END {
    if (n < 10) {
        print "too short for a verdict"
        exit 1
    }
    total = time[n]
    start = total * 0.3 < SETTLED ? total * 0.3 : SETTLED
    window = total * 0.1 < WINDOW ? total * 0.1 : WINDOW
    when = sprintf("after %d s", start)
    split(last, sum, ",")
    printf "%d s: %d requests, %d threads, %d children\n", total, sum[4], sum[5], sum[6]
    judge("resident memory", "MiB", mean(resident, start, start + window) / 1024,
        mean(resident, total - window, total) / 1024)
    judge("mappings", "lines", mean(mappings, start, start + window),
        mean(mappings, total - window, total))
    exit failed
}
