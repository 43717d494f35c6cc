#!/bin/bash
# groff, man pages: troff, tbl, eqn and pic to PostScript and text.
# packages: groff
. "${0%/*}/../compare.sh"
need groff tbl eqn pic

export SOURCE_DATE_EPOCH=1700000000

work() {
    {
        printf '.TH NAME 1 2026-11-23\n.SH NAME\nname - what it is\n'
        seq 400 | sed 's/.*/.SS Section &\n.PP\nParagraph \\fBbold\\fP & of many words that are filled and adjusted./'
        printf '.TS\nbox;\nl r.\na\t1\nb\t2\n.TE\n.EQ\nx = {-b +- sqrt{b sup 2 - 4ac}} over 2a\n.EN\n'
        printf '.PS\nbox "one"; arrow; circle "two"\n.PE\n'
    } >page.1
    groff -tep -man -Tps page.1 >page.ps
    groff -tep -man -Tutf8 page.1 2>/dev/null | cksum
}
compare work
