#!/bin/bash
# gpg: a key made, files signed, encrypted, checked; symmetric ciphers; a broken signature.
# packages: gnupg
. "${0%/*}/../compare.sh"
need gpg gpg-agent gpgconf
compare_stderr=no # new keys and their times

work() {
    export GNUPGHOME=$PWD/varying/g
    mkdir -m 700 "$GNUPGHOME"
    seq 50000 >numbers
    local g=(gpg --batch --no-tty --quiet --pinentry-mode loopback --passphrase secret --trust-model always)
    "${g[@]}" --quick-generate-key 'Name <name@example.org>' default default never
    "${g[@]}" --quick-generate-key 'Other <other@example.org>' ed25519 default never
    "${g[@]}" --list-keys --with-colons | cut -d: -f 1,3,4,10 | grep -v '^\(fpr\|tru\|grp\)'
    "${g[@]}" -u name@example.org --detach-sign -o varying/sig numbers
    status "${g[@]}" --verify varying/sig numbers
    echo more >>numbers
    status "${g[@]}" --verify varying/sig numbers
    "${g[@]}" -e -s -r name@example.org -o varying/sealed numbers
    "${g[@]}" -d varying/sealed | cmp - numbers
    "${g[@]}" --symmetric --cipher-algo AES256 --compress-algo bzip2 -o varying/symmetric numbers
    "${g[@]}" -d varying/symmetric | cmp - numbers
    "${g[@]}" --armor --export other@example.org | "${g[@]}" --show-keys --with-colons | cut -d: -f 1,3,4 | head -n 1
    gpg --print-md sha512 numbers
    gpgconf --kill all
}
compare work
