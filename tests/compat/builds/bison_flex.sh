#!/bin/bash
# bison, flex: a calculator generated, compiled and run.
# packages: bison flex gcc
. "${0%/*}/../compare.sh"
need bison flex gcc

work() {
    cat >calc.y <<'END'
%{
#include <stdio.h>
#include <stdlib.h>
int yylex(void);
void yyerror(const char *text) { printf("%s\n", text); }
%}
%define parse.error verbose
%token NUMBER
%left '+' '-'
%left '*' '/'
%%
lines: | lines expression '\n' { printf("%d\n", $2); } | lines error '\n' { yyerrok; } ;
expression: NUMBER | expression '+' expression { $$ = $1 + $3; } | expression '-' expression { $$ = $1 - $3; }
    | expression '*' expression { $$ = $1 * $3; } | '(' expression ')' { $$ = $2; } ;
%%
int main(void) { return yyparse(); }
END
    cat >calc.l <<'END'
%{
#include <stdlib.h>
#include "calc.tab.h"
extern int yylval;
%}
%option noyywrap nounput noinput
%%
[0-9]+ { yylval = atoi(yytext); return NUMBER; }
[ \t] ;
.|\n return *yytext;
%%
END
    bison -Wall -d --report=all --graph --html calc.y 2>/dev/null || bison -Wall -d --report=all calc.y
    flex -Cfe calc.l
    gcc -O1 calc.tab.c lex.yy.c -o calc
    { seq 2000 | sed 's/.*/(& + 2) * 3 - &/'; echo '1 +'; } | ./calc | tail -n 3
    status bison - <<<'%% broken'
}
compare work
