#!/bin/bash
# pandoc: a long Markdown text to HTML, LaTeX, EPUB, DOCX, JSON and back.
# packages: pandoc
. "${0%/*}/../compare.sh"
need pandoc

export SOURCE_DATE_EPOCH=1700000000

work() {
    {
        printf '%% A title\n\n'
        seq 200 | sed 's/.*/# Section &\n\nText with *emphasis*, `code` and [a link](http:\/\/example.org\/&).\n\n- one\n- two\n\n| a | b |\n|---|--:|\n| & | x |\n/'
        printf '```c\nint main(void) { return 0; }\n```\n\n$x^2 + \\frac{1}{y}$\n'
    } >text.md
    pandoc -s --toc text.md -t html5 --metadata title=t | cksum
    pandoc -s text.md -t latex | cksum
    pandoc text.md -t json | pandoc -f json -t markdown | cksum
    pandoc text.md -o text.docx
    pandoc text.docx -t plain | tail -n 3
    pandoc text.md --metadata identifier=id --metadata title=t -o varying/text.epub
    status pandoc -f nonsense text.md
}
compare work
