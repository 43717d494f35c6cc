#!/bin/bash
# graphviz: graphs of hundreds of nodes laid out by dot, neato, fdp, circo and twopi, as SVG, PNG and text.
# packages: graphviz fonts-dejavu-core
. "${0%/*}/../compare.sh"
need dot neato fdp circo twopi

work() {
    { echo 'digraph g {'; seq 150 | awk '{ print "n" $1 " -> n" $1 * 7 % 151 " [label=\"" $1 "\"]; n" $1 " [shape=box, style=filled, fillcolor=\"#" 100000 + $1 * 5000 "\"]" }'; echo '}'; } >graph.dot
    dot -Tsvg graph.dot >dot.svg
    dot -Tpng graph.dot >dot.png
    local layout
    # Without this, fdp's way of pulling nodes apart differs now and then, with any malloc.
    for layout in neato fdp circo twopi; do "$layout" -Goverlap=true -Tplain graph.dot | cksum; done
    gvpr 'N { print($.name, " ", $.outdegree) }' graph.dot | tail -n 2
    tred graph.dot 2>/dev/null | cksum
    ccomps -x graph.dot | cksum
    status dot <<<'digraph { a -> '
}
compare work
