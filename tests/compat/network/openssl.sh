#!/bin/bash
# openssl: digests, ciphers, keys, certificates, and a TLS session.
# packages: openssl
. "${0%/*}/../compare.sh"
need openssl

compare_stderr=no # it shows its progress and random serial numbers there

work_in_openssl() {
    seq 300000 >data
    openssl dgst -sha256 data
    openssl dgst -blake2b512 data
    openssl enc -aes-256-cbc -pbkdf2 -iter 1000 -S 0011223344556677 -pass pass:secret -in data -out sealed
    openssl enc -d -aes-256-cbc -pbkdf2 -iter 1000 -S 0011223344556677 -pass pass:secret -in sealed | cksum
    openssl base64 -in data | tail -n 2

    cd varying
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=ca
    openssl ecparam -name prime256v1 -genkey -noout -out server.key
    openssl req -new -key server.key -subj /CN=localhost -out server.csr
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out server.pem
    openssl verify -CAfile ca.pem server.pem
    openssl dgst -sha256 -sign server.key -out signature ../data
    openssl dgst -sha256 -verify <(openssl ec -in server.key -pubout) -signature signature ../data
    openssl pkcs12 -export -in server.pem -inkey server.key -certfile ca.pem -passout pass:x -out all.p12
    openssl pkcs12 -in all.p12 -passin pass:x -nodes | grep -c BEGIN

    start_server openssl s_server -unix socket -key server.key -cert server.pem -rev >server.log
    retry test -S socket
    { echo "turned around"; retry grep -q dnuora answer; } |
        openssl s_client -unix socket -CAfile ca.pem -verify_return_error -quiet -no_ign_eof >answer
    cat answer
}
compare work_in_openssl
