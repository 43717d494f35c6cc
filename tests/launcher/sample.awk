# sample.awk - a report in text as the JSON lines that MM_FORMAT=json gives: the finding alone, the same with the
# history of the block, a note and a summary.
function field(name, value) { return "\"" name "\":\"" value "\"" }
match($0, / of 0x[0-9a-f]+ by /) {
    head = field("address", substr($0, RSTART + 4, RLENGTH - 8)) "," field("description", "slot 1 of 48 bytes")
}
/^    #/ {
    module = offset = build_id = ""
    if (match($0, /\(\/.*\+0x[0-9a-f]+\)/)) {
        split(substr($0, RSTART + 1, RLENGTH - 2), place, "+")
        module = "," field("module", place[1]) "," field("offset", place[2])
    }
    if (match($0, /BuildId: [0-9a-f]+/))
        build_id = "," field("build_id", substr($0, RSTART + 9, RLENGTH - 9))
    list = list (list == "" ? "" : ",") "{" field("address", $2) module build_id "}"
}
END {
    common = "{\"mmshim\":1," field("time", "2026-01-02T03:04:05.678Z") "," field("host", "h") ",\"pid\":7," \
        field("program", "/usr/bin/planted") ","
    finding = common field("type", "finding") "," field("kind", "double-free") "," head \
        ",\"thread\":{\"id\":8,\"name\":\"worker\"},\"frames\":[" list "]"
    event = "{\"thread\":{\"id\":7,\"name\":\"main\"},\"frames\":[" list "]"
    print finding "}"
    print finding ",\"freed\":" event "},\"allocated\":" event ",\"size\":40}}"
    print common field("type", "note") "," field("text", "a \\\"note\\\", \\u00e9") "}"
    print common field("type", "summary") ",\"double_free\":1,\"interior_free\":0,\"foreign_free\":0," \
        "\"hidden\":0,\"suppressed\":0,\"uncertain\":0}"
}
