#!/bin/bash
# poppler: a PDF made by gs taken apart: text, pictures, SVG, pages split and joined.
# packages: poppler-utils ghostscript gsfonts
. "${0%/*}/../compare.sh"
need pdftotext pdftoppm pdftocairo pdfinfo pdfseparate pdfunite gs

seq 200 | awk 'NR % 50 == 1 { print "/Times-Roman findfont 11 scalefont setfont" }
    { print "72 " 760 - 14 * (NR % 50) " moveto (line " $1 " with some words) show" } NR % 50 == 0 { print "100 100 200 150 rectfill showpage" }' |
    gs -q -dBATCH -dNOPAUSE -sDEVICE=pdfwrite -sOutputFile="$work/made.pdf" -

work() {
    cp "$work/made.pdf" .
    pdftotext -layout made.pdf -
    pdftotext -bbox made.pdf - | cksum
    pdfinfo -rawdates made.pdf | grep -E '^(Pages|Page size|Encrypted)'
    pdftoppm -r 60 made.pdf ppm
    pdftocairo -png -r 60 -f 1 -l 2 made.pdf png
    pdftocairo -svg -f 1 -l 1 made.pdf out.svg
    # Each of these gets an ID from the time of day.
    pdfseparate made.pdf varying/page%d.pdf
    pdfunite varying/page3.pdf varying/page1.pdf varying/joined.pdf
    pdffonts varying/joined.pdf
    pdftotext -layout varying/joined.pdf -
    head -c 3000 made.pdf >broken.pdf
    status pdftotext broken.pdf - 2>varying/broken
}
compare work
