#!/bin/bash
# bc, dc: a thousand digits of pi, large powers, arrays, functions.
# packages: bc dc
. "${0%/*}/../compare.sh"
need bc dc

work() {
    bc -l <<'END'
scale = 1000
4 * a(1)
2 ^ 4000 % 10 ^ 50
define f(n) { if (n < 2) return n; return f(n - 1) + f(n - 2) }
f(18)
for (i = 0; i < 2000; i++) t[i] = i ^ 3
t[1999]
END
    dc -e '[la1+dsa*pla300>y]sy 0sa 1lyx' | tail -n 2
    dc -e '20k 2v p 2 3000^p'
}
compare work
