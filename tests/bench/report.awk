# report.awk - turns the lines of CSV that scripts/bench.sh writes into its tables, in Markdown.
#
#   -v clock=wall|cpu   which time counts (wall)
#   -v plot=FILE        writes what plot.gnuplot draws
#
# A figure is the median of its runs; a spread, the distance of the quartiles in per cent of the median.

# The bars that the project sets itself; those that are missed are named in the end.
function set_bars() {
    bar_synthetic = 0.45 # time, of glibc's, on average
    bar_real = 0.85
    bar_peer = 1.25      # time of a row, of the best peer's
    bar_memory = 1.5     # peak memory of a row, of glibc's
    bar_start = 1.10     # time of /bin/true, of that under an empty library
    bar_faults = 60      # page faults of /bin/true, beyond those under an empty library
    bar_threads = 1.9    # two threads' work, of one's
    bar_returned = 90    # per cent of a dead phase's memory, after a second
    bar_survivors = 50   # per cent that stays where 3 survive, after two seconds
    bar_idle = 5         # where none does, and nothing happens
    bar_wait = 5         # milliseconds
    bar_large = 25       # nanoseconds
    noise = 2            # per cent: the least difference between two rows that means something
}

BEGIN {
    FS = ","
    ours = "mmshim"
    base = "glibc"
    set_bars()
}

/^#/ {
    environment = environment "- " substr($0, 3) "\n"
    next
}

$1 == "row" { next }

{
    row = $1
    allocator = $3
    key = row SUBSEP allocator
    if (!(row in group)) {
        group[row] = $2
        rows[++row_count] = row
    }
    if (!(allocator in known)) {
        known[allocator] = 1
        if (allocator == "empty")
            has_empty = 1
        else
            allocators[++allocator_count] = allocator
        has_checks = has_checks || allocator ~ /=/
    }
    if ($9 != "ok") {
        failures = failures "- " row " under " allocator ", run " $4 ": " $9 "\n"
        next
    }
    runs[key]++
    times[key] = times[key] " " (clock == "cpu" ? $6 : $5)
    memories[key] = memories[key] " " $7
    faults[key] = faults[key] " " $8
    metrics[key] = metrics[key] " " $10
}

# quantile(LIST, WHERE) - of numbers in a string: 1 the lower quartile, 2 the median, 3 the upper one.
function quantile(list, where,    values, count, i, j, value, edge) {
    count = split(list, values, " ")
    if (count == 0)
        return 0
    for (i = 2; i <= count; i++) {
        value = values[i] + 0
        for (j = i - 1; j > 0 && values[j] + 0 > value; j--)
            values[j + 1] = values[j]
        values[j + 1] = value
    }
    edge = int((count + 3) / 4)
    if (where == 1)
        return values[edge]
    if (where == 3)
        return values[count + 1 - edge]
    return (values[int((count + 1) / 2)] + values[int((count + 2) / 2)]) / 2
}

function median(list) {
    return quantile(list, 2)
}

function spread(list) {
    return 100 * (quantile(list, 3) - quantile(list, 1)) / median(list)
}

function is_peer(allocator) {
    return allocator != ours && allocator != base
}

# best_peer(WHAT, ROW) - the peer with the least; "" where there is none.
function best_peer(what, row,    i, best) {
    best = ""
    for (i = 1; i <= allocator_count; i++)
        if (is_peer(allocators[i]) && ((what, row, allocators[i]) in figure) &&
            (best == "" || figure[what, row, allocators[i]] < figure[what, row, best]))
            best = allocators[i]
    return best
}

# ratio(WHAT, ROW, A, B) - of two allocators; "" where one has no result.
function ratio(what, row, a, b) {
    if (a == "" || b == "" || !((what, row, a) in figure) || !((what, row, b) in figure))
        return ""
    return figure[what, row, a] / figure[what, row, b]
}

function show(format, value) {
    return value == "" ? "-" : sprintf(format, value)
}

function take_medians(    key, part) {
    for (key in runs) {
        split(key, part, SUBSEP)
        figure["time", part[1], part[2]] = median(times[key])
        figure["memory", part[1], part[2]] = median(memories[key])
    }
}

function counts(row) {
    return group[row] == "synthetic" || group[row] == "real"
}

function print_cells(what, row, unit, format,    best) {
    best = best_peer(what, row)
    printf " " format " | %6s | %6s %-9s | %6s |", figure[what, row, base] / unit,
        show("%.2f", ratio(what, row, ours, base)), show("%.2f", ratio(what, row, best, base)), best,
        show("%.2f", ratio(what, row, ours, best))
}

function print_rows(name,    i, row, headed, least) {
    for (i = 1; i <= row_count; i++) {
        row = rows[i]
        if (group[row] != name || !((row, base) in runs))
            continue
        if (!headed++) {
            printf "\n### Rows: %s\n\n", name
            print "Ratios to glibc; \"of it\" is " ours "'s to that peer; the spread, the larger of both" \
                (clock == "cpu" ? "; user and system time." : ".")
            printf "\n| %-13s | %8s | %6s | %-16s | %6s | %6s | %8s | %6s | %-16s | %6s |\n", "",
                "glibc, s", ours, "best peer", "of it", "spread", "MiB", ours, "best peer", "of it"
            print "|---|--:|--:|---|--:|--:|--:|--:|---|--:|"
        }
        printf "| %-13s |", row
        print_cells("time", row, 1, "%8.3f")
        spread_of[row] = spread(times[row, base])
        if ((row, ours) in runs && spread(times[row, ours]) > spread_of[row])
            spread_of[row] = spread(times[row, ours])
        printf " %5.0f%% |", spread_of[row]
        print_cells("memory", row, 1024, "%8.1f")
        print ""
    }
}

# mean(WHAT, GROUP, ALLOCATOR) - geometric, of the ratios to glibc; GROUP "all" and ALLOCATOR "best"
# are what they say.
function mean(what, name, allocator,    i, row, sum, n, value) {
    for (i = 1; i <= row_count; i++) {
        row = rows[i]
        if (!counts(row) || (name != "all" && group[row] != name))
            continue
        value = ratio(what, row, allocator == "best" ? best_peer(what, row) : allocator, base)
        if (value != "") {
            sum += log(value)
            n++
        }
    }
    return n ? exp(sum / n) : ""
}

function print_header(title, last,    i, rule) {
    printf "\n| %-34s |", title
    rule = "|---|"
    for (i = 1; i <= allocator_count; i++) {
        printf " %8s |", allocators[i]
        rule = rule "--:|"
    }
    print last == "" ? "" : " " last " |"
    print rule (last == "" ? "" : "--:|")
}

# Of the shim's checks, and of another tool's, each for itself.
function print_checks(    w, what, i, j) {
    split("time memory", what, " ")
    for (w = 1; w <= 2; w++) {
        print_header((w == 1 ? "time" : "peak memory") ", of glibc's")
        for (i = 1; i <= row_count; i++) {
            printf "| %-34s |", rows[i]
            for (j = 1; j <= allocator_count; j++)
                printf " %8s |", show("%.2f", ratio(what[w], rows[i], allocators[j], base))
            print ""
        }
        printf "| %-34s |", "geometric mean"
        for (j = 1; j <= allocator_count; j++)
            printf " %8s |", show("%.2f", mean(what[w], "all", allocators[j]))
        print ""
    }
}

function print_comparison() {
    print_rows("synthetic")
    print_rows("real")
    if (mean("time", "all", base) != "")
        print_means()
    print_further()
    print_missed()
}

function print_means(    i, w, g, what, name) {
    print "\n### Geometric means of the ratios to glibc"
    print_header("", "best peer of each row")
    split("time memory", what, " ")
    split("synthetic real all", name, " ")
    for (w = 1; w <= 2; w++) {
        for (g = 1; g <= 3; g++) {
            if (mean(what[w], name[g], base) == "")
                continue
            printf "| %-34s |", (w == 1 ? "time, " : "peak memory, ") name[g]
            for (i = 1; i <= allocator_count; i++)
                printf " %8s |", show("%.3f", mean(what[w], name[g], allocators[i]))
            printf " %21s |\n", show("%.3f", mean(what[w], name[g], "best"))
        }
    }
}

function ratio_at_start(allocator) {
    return ratio("time", "start", allocator, "empty")
}

function faults_at_start(allocator) {
    return median(faults["start", allocator]) - median(faults["start", "empty"])
}

# Of two threads' time the processor counts all, whoever waits for whom.
function scaling(allocator) {
    if (clock == "cpu" || !(("one", allocator) in runs) || !(("two", allocator) in runs))
        return ""
    return 2 * figure["time", "one", allocator] / figure["time", "two", allocator]
}

function further(name, allocator) {
    if (name == "scaling")
        return scaling(allocator)
    if (group[name] == "returned")
        return (name, allocator) in runs ? median(metrics[name, allocator]) : ""
    if ((name != "start" && name != "faults") || !has_empty || !(("start", allocator) in runs))
        return ""
    return name == "start" ? ratio_at_start(allocator) : faults_at_start(allocator)
}

function print_further_row(name, title, format,    i) {
    if (further(name, base) == "")
        return
    if (!further_headed++) {
        print "\n### Start, threads, memory given back"
        print_header("", "")
    }
    printf "| %-34s |", title
    for (i = 1; i <= allocator_count; i++)
        printf " %8s |", show(format, further(name, allocators[i]))
    print ""
}

function print_further() {
    print_further_row("start", "/bin/true: time, of empty library", "%.3f")
    print_further_row("faults", "/bin/true: page faults beyond that", "%.0f")
    print_further_row("scaling", "two threads' work, of one's", "%.2f")
    print_further_row("returned", "dead phase back after 1 s, %", "%.1f")
    print_further_row("survivors", "3 % survive: kept after 2 s, %", "%.1f")
    print_further_row("idle", "all freed, idle: kept after 2 s, %", "%.1f")
    print_further_row("worst-wait", "longest call beside frees, ms", "%.2f")
    print_further_row("thread-ends", "short thread beside many blocks, us", "%.1f")
    print_further_row("fork-child", "until a fork's child runs, ms", "%.1f")
    print_further_row("large-churn", "60,000 bytes, 33 at a time, ns", "%.1f")
}

function miss(text) {
    missed = missed "- " text "\n"
}

function judge_mean(what, name, bar,    value) {
    value = mean(what, name, ours)
    if (value != "" && value > bar)
        miss(what ", " name " rows: " sprintf("%.3f of glibc's on average, bar %.2f", value, bar))
}

function judge_best(what,    i, value, best) {
    for (i = 1; i <= allocator_count; i++) {
        value = mean(what, "all", allocators[i])
        if (is_peer(allocators[i]) && value != "" && (best == "" || value < mean(what, "all", best)))
            best = allocators[i]
    }
    if (best != "" && mean(what, "all", ours) > mean(what, "all", best))
        miss(sprintf("%s, all rows: %.3f of glibc's, %s %.3f", what, mean(what, "all", ours), best,
            mean(what, "all", best)))
}

function judge_row(row,    value, best) {
    value = ratio("time", row, ours, base)
    if (value != "" && value > 1 + (spread_of[row] > noise ? spread_of[row] : noise) / 100)
        miss(sprintf("%s: %.2f of glibc's time", row, value))
    best = best_peer("time", row)
    value = ratio("time", row, ours, best)
    if (value != "" && value > bar_peer)
        miss(sprintf("%s: %.2f of %s's time, bar %.2f", row, value, best, bar_peer))
    value = ratio("memory", row, ours, base)
    if (value != "" && value > bar_memory)
        miss(sprintf("%s: %.2f of glibc's peak memory, bar %.2f", row, value, bar_memory))
}

function judge_further(name, text, bar, at_least,    value) {
    value = further(name, ours)
    if (value != "" && (at_least ? value < bar : value > bar))
        miss(sprintf("%s: %.2f, bar %.2f", text, value, bar))
}

function print_missed(    i) {
    judge_best("time")
    judge_mean("time", "synthetic", bar_synthetic)
    judge_mean("time", "real", bar_real)
    judge_mean("memory", "all", 1)
    judge_best("memory")
    for (i = 1; i <= row_count; i++)
        if (counts(rows[i]))
            judge_row(rows[i])
    judge_further("start", "/bin/true, of its time under an empty library", bar_start, 0)
    judge_further("faults", "/bin/true, page faults beyond an empty library's", bar_faults, 0)
    judge_further("scaling", "two threads' work, of one's", bar_threads, 1)
    judge_further("returned", "per cent of a dead phase's memory back", bar_returned, 1)
    judge_further("survivors", "per cent of memory kept where 3 survive", bar_survivors, 0)
    judge_further("idle", "per cent of memory kept where all is freed", bar_idle, 0)
    judge_further("worst-wait", "milliseconds of the longest call", bar_wait, 0)
    judge_further("large-churn", "nanoseconds of 60,000 bytes", bar_large, 0)
    if (missed != "")
        printf "\n### Bars missed\n\n%s", missed
}

# One line a row, the last row first, as a picture counts from below: name, place, then for each
# allocator its ratios of time and memory. One empty place lies between the groups.
function write_plot(    i, a, row, place, last) {
    printf "row place" > plot
    for (a = 1; a <= allocator_count; a++)
        printf " %s %s", allocators[a], allocators[a] > plot
    print "" > plot
    for (i = row_count; i > 0; i--) {
        row = rows[i]
        if (!counts(row) || !((row, base) in runs))
            continue
        if (last != "" && group[row] != last)
            place++
        last = group[row]
        printf "%s %d", row, ++place > plot
        for (a = 1; a <= allocator_count; a++)
            printf " %s %s", show("%.4f", ratio("time", row, allocators[a], base)),
                show("%.4f", ratio("memory", row, allocators[a], base)) > plot
        print "" > plot
    }
    close(plot)
}

END {
    take_medians()
    printf "%s", environment
    if (has_checks)
        print_checks()
    else
        print_comparison()
    if (failures != "")
        printf "\n### Failed\n\n%s", failures
    if (plot != "" && !has_checks)
        write_plot()
}
