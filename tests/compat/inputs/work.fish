# What fish scripts are made of. Prints what comes of it.
echo (count $argv) $argv[-1]
set words (seq 3000)
set --append words {a,b,c}{1,2}
echo (count $words) $words[-1] $words[2..4]
string join , (string replace -r '^(\d)(\d+)$' '$2-$1' $words)[100..110]
string match -r '1[0-4]{3}' -- $words | sort -n | tail -n 1
math "2 ^ 40 + sqrt(16)"

function fib
    if test $argv[1] -lt 2
        echo $argv[1]
    else
        math (fib (math $argv[1] - 1)) + (fib (math $argv[1] - 2))
    end
end
fib 10

for i in (seq 200)
    echo $i
end | while read -l line
    test (math $line % 50) -eq 0; and echo "line $line"
end
seq 20000 | sort -r | string sub -l 2 | sort -u | wc -l
begin
    echo to stderr >&2
    false
end 2>| tr a-z A-Z
echo $pipestatus
string split , "a,b,,c" | cat -n
switch $argv[1]
    case 'o*'
        echo starts with o
end
printf '%s|%05d\n' x 42
set -l text (string repeat -n 5000 'ab')
echo (string length $text) (string upper (string sub -s 1 -l 4 $text))
