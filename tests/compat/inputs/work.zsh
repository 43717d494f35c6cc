# What zsh scripts are made of. Prints what comes of it.
setopt extended_glob err_return
zmodload zsh/mathfunc zsh/datetime zsh/zutil

typeset -A squares
for i in {1..5000}; squares[$i]=$((i * i))
print "${#squares} $squares[4999] ${(k)squares[(r)16]}"
print -l ${(on)${(v)squares}[1,5]} | sort -n | tail -n 1
words=(${(f)"$(seq 3000)"})
print "${#words} ${(j:,:)words[-3,-1]} ${(U)2} ${(q)2} ${words[(i)777]}"
print "${${(s:,:)$(print {a..z},{1..9})}[26]}"

mkdir -p tree/{a,b,c}/{x,y}
for dir in tree/*/*(/); seq ${#dir} >$dir/file
touch -d @1700000000 tree/a/x/file
print -l tree/**/*(.L+3) | sort
print -l tree/(a|c)/^x(/)

autoload -Uz zmv
zmv -n 'tree/(*)/(*)/file' 'tree/$1-$2' | sort
fib() { (( $1 < 2 )) && print $1 || print $(( $(fib $(( $1 - 1 ))) + $(fib $(( $1 - 2 ))) )) }
fib 12
printf '%.4f\n' $(( sqrt(2) * sin(1) ))
diff =(seq 10) <(seq 2 11) || print "status $?"
coproc { read -r line; print "got $line" }
print -p hello
read -rp answer
print $answer
[[ "2026-11-23" =~ '([0-9]+)-([0-9]+)' ]] && print $match[1] $match[2]
strftime %F 1700000000
{ false } always { print "always" } || print "status $?"
