# What shell scripts are made of. Prints what comes of it.
set -eu
trap 'echo "leaving with $?"' EXIT
trap 'echo "got a signal"' USR1

echo "arguments: $# ${*@Q}"

# Words, and a string that grows.
words=()
text=
for i in {1..3000}; do
    words+=("word-$((i * 7919 % 3001))")
    text+=${words[-1]:5}
done
echo "words: ${#words[@]}, text: ${#text}, ${words[2999]//-/=}"
echo "sorted: $(printf '%s\n' "${words[@]}" | sort -t- -k2n | sed -n 1,3p | tr '\n' ' ')"

# An associative array, counted into.
declare -A count
for word in "${words[@]}"; do
    key=${word: -1}
    count[$key]=$((${count[$key]:-0} + 1))
done
for key in $(printf '%s\n' "${!count[@]}" | sort); do
    echo "ends in $key: ${count[$key]}"
done

# Pipes, each side a process; and a process substitution.
seq 20000 | sed 's/7/seven/g' | awk '{ n += length($0) } END { print "characters:", n }'
diff <(seq 1 5) <(seq 2 6) || true
{ echo to stdout; echo to stderr >&2; } 2>&1 | sort | tee copy.txt
cat copy.txt

# Substitutions inside each other, with and without a new process.
depth() {
    if (($1 == 0)); then
        echo bottom
    else
        echo "$1 $(depth $(($1 - 1)))"
    fi
}
depth 12
for i in {1..50}; do
    last=$(/bin/echo "$i" "$(echo inner "$i")")
done
echo "$last"

cat <<END
here: $((6 * 7)) ${words[0]} $(echo from a substitution)
END
cat <<'END'
$not $(expanded)
END
read -r first rest <<<"alpha beta gamma"
echo "$rest, $first"

# A coprocess, a background job and a signal to ourselves.
coproc tr a-z A-Z
pid=$COPROC_PID
exec {from}<&"${COPROC[0]}" {to}>&"${COPROC[1]}" {COPROC[0]}<&- {COPROC[1]}>&-
echo shouted >&"$to"
exec {to}>&-
cat <&"$from"
wait "$pid"
sleep 0.1 &
wait $!
kill -USR1 $BASHPID

mapfile -t lines < <(seq -f 'line %g' 5000)
echo "${#lines[@]} lines, ${lines[4999]}"
printf '%s\n' "${lines[@]}" >lines.txt
[[ ${lines[41]} =~ ^line\ ([0-9]+)$ ]] && echo "matched ${BASH_REMATCH[1]}"

(exit 3) || echo "a subshell ended with $?"
exit 0
