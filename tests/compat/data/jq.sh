#!/bin/bash
# jq: a big document built, grouped, rewritten and read back.
# packages: jq
. "${0%/*}/../compare.sh"
need jq

work_in_jq() {
    jq -n -c '[range(20000) | {id: ., name: "name \(. * 7919 % 20011)", tags: [. % 3, . % 5], nested: {deep: [., null, true]}}]' >big.json
    jq 'group_by(.tags[0]) | map({count: length, sum: map(.id) | add, first: min_by(.name).name})' big.json
    jq -S 'map(select(.id % 1000 == 0) | .nested.deep |= (.[0] + 1)) | sort_by(.name)' big.json
    jq -c '.[] | select(.name | test("^name 1+$"))' big.json
    jq -s --stream -c 'length' big.json
    jq -r '.[:100][] | [.id, .name] | @csv' big.json
    jq '[paths] | length' big.json
    status jq '.[0' big.json
    status jq -e '.[0].missing' big.json
}
compare work_in_jq
