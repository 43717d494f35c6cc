#!/bin/bash
# pdflatex, bibtex, tex: forty pages with formulas, tables, references and a bibliography, in two passes.
# packages: texlive-latex-base
. "${0%/*}/../compare.sh"
need pdflatex bibtex

export SOURCE_DATE_EPOCH=1700000000 FORCE_SOURCE_DATE=1 TEXMFVAR=$work/texmf

work() {
    {
        printf '\\documentclass{article}\\usepackage{amsmath}\\begin{document}\\tableofcontents\n'
        seq 60 | sed 's/.*/\\section{Section &}\\label{s&} See \\ref{s&} on page \\pageref{s&} and \\cite{k}. Some words, and more words.\n\\begin{align} x^{&} + \\frac{a}{b} \&= \\int_0^\\infty e^{-t}\\,dt \\end{align}\n\\begin{tabular}{l|r} a \& & \\\\ \\hline b \& 2 \\end{tabular}/'
        printf '\\bibliographystyle{plain}\\bibliography{work}\\end{document}\n'
    } >work.tex
    echo '@article{k, author={A. Name and B. Other}, title={A title}, journal={J}, year=2023}' >work.bib
    pdflatex -interaction=batchmode work.tex
    bibtex work
    pdflatex -interaction=batchmode work.tex
    pdflatex -interaction=batchmode work.tex
    status pdflatex -interaction=batchmode -halt-on-error '\documentclass{article}\begin{document}\undefined'
}
compare work
