#!/bin/bash
# go: a program built without cgo and with it, and run, race detector included.
# packages: golang-go gcc libc6-dev
# note: a program built without cgo is static and has no malloc: nothing takes effect there, nor is there anything to report; build with CGO_ENABLED=1 to have its C code checked
. "${0%/*}/../compare.sh"
need go gcc

export GOFLAGS=-trimpath GO111MODULE=off GOTOOLCHAIN=local GOCACHE=$work/run/varying/cache

work() {
    cp "$inputs/work.go" .
    CGO_ENABLED=1 go build -o varying/with_cgo work.go
    varying/with_cgo
    sed '/^\/\*/,/^import "C"/d; /C\./d' work.go >pure.go
    rm work.go
    CGO_ENABLED=0 go build -o varying/pure pure.go
    varying/pure
    go vet pure.go
}
compare work
