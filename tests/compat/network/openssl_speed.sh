#!/bin/bash
# openssl speed: each algorithm for one second, with two processes.
# packages: openssl
. "${0%/*}/../compare.sh"
need openssl

# How fast is what varies; that all of it ran is what is compared.
work() {
    openssl speed -seconds 1 -bytes 4096 -multi 2 sha256 aes-128-cbc rsa2048 ecdsap256 ed25519 >varying/speed 2>varying/log
    sed 's/ *[0-9.]\+[ks]\?\b.*//' varying/speed | grep -E '^ *(sha256|aes-128-cbc|rsa|.*ecdsa|.*EdDSA)' | sort -u
}
compare work
