#!/bin/bash
# libreoffice: headless: a text, a spreadsheet with formulas and a web page converted to PDF, ODF, DOCX, CSV.
# packages: libreoffice-writer-nogui libreoffice-calc-nogui poppler-utils fonts-dejavu-core
. "${0%/*}/../compare.sh"
need soffice pdftotext

convert_to() {
    soffice -env:UserInstallation="file://$PWD/varying/profile" --headless --norestore --nolockcheck \
        --convert-to "$1" --outdir varying/out "$2" >>varying/said 2>&1
}

work() {
    { echo '<html><body><h1>Title</h1>'; seq 300 | sed 's|.*|<p>Paragraph <b>&</b> of the text</p>|'; echo '<table border=1><tr><td>a</td><td>b</td></tr></table></body></html>'; } >page.html
    { echo 'n,square,formula'; seq 500 | awk '{ print $1 "," $1 * $1 ",=SUM(A$2:B" $1 + 1 ")" }'; } >sheet.csv
    convert_to odt:writer8 page.html
    convert_to pdf varying/out/page.odt
    convert_to 'docx:MS Word 2007 XML' varying/out/page.odt
    convert_to ods sheet.csv
    convert_to xlsx varying/out/sheet.ods
    convert_to csv varying/out/sheet.xlsx
    convert_to "txt:Text (encoded):UTF8" varying/out/page.docx
    env -u LD_PRELOAD pdftotext -layout varying/out/page.pdf - | cksum
    cp varying/out/sheet.csv out.csv
    cp varying/out/page.txt out.txt
    ls varying/out
}
compare work
