# What awk programs are made of. Prints what comes of it.
{
    count[$1 % 997] += $1
    text[$1 % 211] = text[$1 % 211] "," $1
    words = words (NR % 1000 ? "" : $1 " ")
}
$1 % 3 == 0 { delete count[$1 % 500] }
END {
    for (key in count) { n++; sum += count[key] }
    print NR, n, sum, length(text[17])
    m = split(words, word, " ")
    for (i = 1; i <= m; i++) if (word[i] ~ /^1.*0$/) matched = matched word[i] "|"
    print m, matched
    gsub(/[0-9]/, "<&>", matched)
    print substr(matched, 1, 60), toupper("text"), index(words, "3000"), sprintf("%08.3f %x %c", 3.14159, 255, 65)
    while (("echo a b c; echo d e" | getline line) > 0) print split(line, w), w[1]
    for (i = 300; i; i--) print i | "sort -n | tail -n 1"
    close("sort -n | tail -n 1")
    print 2^53, int(-3.7), exp(1), substr("hello", 2, 3)
    print "to a file" >"written"; close("written"); getline back < "written"; print back
}
