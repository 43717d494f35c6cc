#!/bin/bash
# java, javac, jar: a program compiled, packed and run with each garbage collector, threads and natives.
# packages: default-jdk-headless
. "${0%/*}/../compare.sh"
need java javac jar

work() {
    javac -d classes "$inputs/Work.java"
    jar --create --file varying/work.jar --main-class Work -C classes .
    local collector
    for collector in Serial Parallel G1; do
        java -XX:+Use${collector}GC -Xmx256m -jar varying/work.jar
    done
    echo 'System.out.println(java.util.stream.IntStream.range(0, 1000).sum())' | jshell -s - 2>/dev/null
}
compare work
