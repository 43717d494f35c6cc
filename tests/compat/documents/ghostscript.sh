#!/bin/bash
# gs: PostScript programs to pictures of several kinds and to PDF, and that PDF to text and pictures.
# packages: ghostscript gsfonts
. "${0%/*}/../compare.sh"
need gs

work() {
    {
        echo '%!PS'
        echo '/Helvetica findfont 12 scalefont setfont'
        seq 40 | awk '{ print "72 " 760 - 17 * $1 " moveto (line " $1 " of the page) show " $1 / 40 " 0 0 setrgbcolor 300 " 10 * $1 " 40 0 360 arc stroke" }'
        echo 'showpage 1 1 200 { /n exch def n 3 mul 50 moveto 0 700 rlineto n 200 div setgray stroke } for showpage'
        echo '/f { dup 2 lt { } { dup 1 sub f exch 2 sub f add } ifelse } def 18 f = 500 string pop 1000 array pop quit'
    } >page.ps
    local run=(gs -q -dSAFER -dBATCH -dNOPAUSE)
    "${run[@]}" -sDEVICE=png16m -r100 -o page%d.png page.ps
    "${run[@]}" -sDEVICE=jpeg -r72 -o page%d.jpg page.ps
    "${run[@]}" -sDEVICE=tiffg4 -r150 -o varying/page.tif page.ps # holds the time
    "${run[@]}" -sDEVICE=pdfwrite -o varying/page.pdf page.ps
    "${run[@]}" -sDEVICE=txtwrite -o - varying/page.pdf
    "${run[@]}" -sDEVICE=pnggray -dTextAlphaBits=4 -r50 -o gray%d.png varying/page.pdf
    "${run[@]}" -sDEVICE=ps2write -o varying/again.ps varying/page.pdf
    status gs -q -dBATCH -dNOPAUSE -sDEVICE=nullpage - <<<'nonsense' >varying/failed 2>&1
}
compare work
