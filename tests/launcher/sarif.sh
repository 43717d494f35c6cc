#!/usr/bin/env bash
# sarif.sh LAUNCHER PLANTED SHIM - findings become SARIF of the structure that its standard asks for.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname -- "$0")/common.sh"
here=$(realpath -- "$(dirname -- "$0")") planted=$2 shim=$3
needs jq
cd "$work"
runs 3 env LD_PRELOAD="$shim" "$planted"
without_shim stderr | awk -f "$here/sample.awk" >bare.jsonl
runs 0 "$mmshim" symbolize <bare.jsonl
cp stdout log.jsonl

# What SARIF 2.1.0 requires of the objects used here, of their types and of what they refer to.
cat >valid.jq <<'END'
def only($allowed): if keys - $allowed == [] then . else error("not of SARIF: \(keys - $allowed)") end;
def must($what; condition): if condition then . else error("\($what): \(.)") end;
def uri: must("uri"; type == "string" and (test("[ <>\"{}|\\\\^`]") | not));
def message: only(["text"]) | must("message"; .text | type == "string" and length > 0);
def artifact($bases): only(["uri", "uriBaseId"]) | must("artifact"; .uri | uri)
    | must("base"; .uriBaseId as $id | $id == null or ($bases | has($id)));
def physical($bases): only(["artifactLocation", "region"]) | must("physical"; .artifactLocation | artifact($bases))
    | must("region"; .region == null or (.region | only(["startLine"]) | .startLine | type == "number" and . >= 1));
def location($bases): only(["physicalLocation", "logicalLocations", "message"])
    | must("location"; .physicalLocation == null or (.physicalLocation | physical($bases)))
    | must("logical"; all(.logicalLocations[]; only(["fullyQualifiedName", "kind"]) | .kind == "function"))
    | must("message"; .message == null or (.message | message));
def stack($bases): only(["message", "frames"]) | must("frames"; .frames | type == "array" and length > 0
    and all(.[]; only(["location", "module"]) | .location | location($bases)));
only(["version", "$schema", "runs"]) | must("version"; .version == "2.1.0") | must("schema"; ."$schema" | uri)
| .runs | must("runs"; length == 1) | .[0]
| only(["tool", "originalUriBaseIds", "columnKind", "results"])
| must("kind"; .columnKind == "utf16CodeUnits")
| must("bases"; .originalUriBaseIds | all(.[]; only(["uri"]) | .uri | uri and endswith("/")))
| .originalUriBaseIds as $bases | .tool.driver.rules as $rules
| must("driver"; .tool | only(["driver"]) | .driver | only(["name", "version", "rules"]) | .name == "mmshim" and (.version | type == "string"))
| must("rules"; $rules | all(.[]; only(["id", "name", "shortDescription", "fullDescription", "help"])
    | (.id | type == "string") and all(.shortDescription, .fullDescription, .help; message)))
| must("ids"; ($rules | map(.id)) == ["double-free", "interior-free", "foreign-free", "overflow", "underflow", "use-after-free", "mismatched-free", "mismatched-size", "bad-query", "leak", "possible-leak", "dangling-pointer", "over-read", "under-read", "overlap", "bad-access"])
| all(.results[]; only(["ruleId", "ruleIndex", "level", "message", "locations", "stacks", "relatedLocations",
        "partialFingerprints", "occurrenceCount"])
    | must("rule"; .ruleId == $rules[.ruleIndex].id) | must("level"; .level == "error") | must("message"; .message | message)
    | must("locations"; .locations | length == 1 and all(.[]; location($bases)))
    | must("related"; all(.relatedLocations[]; location($bases) and .message))
    | must("stacks"; all(.stacks[]; stack($bases)))
    | must("fingerprints"; .partialFingerprints | all(.[]; type == "string"))
    | must("count"; .occurrenceCount >= 1))
END
valid() {
    jq -e -f valid.jq stdout >/dev/null || fail "no SARIF: $(head -c 3000 stdout)"
}

# result FILTER - holds for the only result.
result() {
    jq -e ".runs[0].results | length == 1 and (.[0] | $1)" stdout >/dev/null || fail "not so: $1: $(jq -c '.runs[0].results' stdout)"
}

at_fault=$(grep -n 'free(handle)' "$here/planted.c" | cut -d : -f 1)
runs 0 "$mmshim" sarif --source-root="$here/.." <log.jsonl
valid
# The same place twice is one result; the one that knows more is told.
result ".ruleId == \"double-free\" and .occurrenceCount == 2
    and .locations[0].physicalLocation == {artifactLocation: {uri: \"launcher/planted.c\", uriBaseId: \"%SRCROOT%\"},
        region: {startLine: $at_fault}}
    and (.stacks | length == 3) and (.relatedLocations | length == 2)
    and (.message.text | test(\"first freed by thread 7 .main. in drop\") and test(\"planted.c:$at_fault\"))"
# Sources elsewhere are named by their whole path.
runs 0 "$mmshim" sarif --source-root="/some where" <log.jsonl
valid
result ".locations[0].physicalLocation.artifactLocation == {uri: \"file://$here/planted.c\"}"
# A root that is not there, told from here; and the whole machine.
mkdir a-root
runs 0 "$mmshim" sarif --source-root=a-root/none/ <log.jsonl
valid
jq -e --arg uri "file://$PWD/a-root/none/" '.runs[0].originalUriBaseIds."%SRCROOT%".uri == $uri' stdout >/dev/null ||
    fail "another root: $(cat stdout)"
runs 0 "$mmshim" sarif --source-root=/ <log.jsonl
valid
result ".locations[0].physicalLocation.artifactLocation.uri == \"${here#/}/planted.c\""
# Without lines there is still the module.
runs 0 "$mmshim" sarif <bare.jsonl
valid
result ".locations[0].physicalLocation.artifactLocation.uri == \"file://$planted\""
# A finding without a caller, and none at all.
runs 0 "$mmshim" sarif <<<'{"mmshim":1,"type":"finding","kind":"foreign-free","address":"0x1","description":"nothing","frames":[]}'
jq -e '.runs[0].results[0].locations == [{logicalLocations: [{fullyQualifiedName: "unknown function", kind: "function"}]}]' stdout \
    >/dev/null || fail "without a caller: $(cat stdout)"
runs 0 "$mmshim" sarif </dev/null
valid
# What is no report is named, and loses nothing else.
{ cat log.jsonl; echo; echo '{"mmshim":1,"type":"find'; cat bare.jsonl; echo '[]'; } >mixed
runs 1 "$mmshim" sarif <mixed
valid
says stderr '^mmshim: left out, being no reports of mmshim in JSON: line 6, 11$'
runs 0 "$mmshim" sarif --help
says stdout '--source-root=DIR'
runs 125 "$mmshim" sarif log.jsonl
says stderr 'from stdin'
