# sarif.jq - the findings of a JSON log, read as one text (-R -s), as one SARIF 2.1.0 log. Takes $version of
# mmshim and $root, a folder that ends in /: files below it are named relative to it, as code hosts want them.

def rule($name; $short; $full):
    {id: ($name | gsub("(?<a>.)(?<b>[A-Z])"; "\(.a)-\(.b)") | ascii_downcase), $name,
     shortDescription: {text: $short}, fullDescription: {text: $full},
     help: {text: ("The first stack is that of the bad call. "
         + "The others, where known, tell who freed the block first and who allocated it.")}};

def rules: [
    rule("DoubleFree"; "A block is freed again"; "The pointer was a block, and was freed since."),
    rule("InteriorFree"; "A pointer into a block is freed";
        "The pointer points into the heap, but not at the start of a block."),
    rule("ForeignFree"; "What never was a block is freed";
        "The pointer is that of a stack, a global, mapped memory, or of nothing.")
];

def uri: split("/") | map(@uri) | join("/");

def artifact:
    if startswith($root) then {uri: (.[($root | length):] | uri), uriBaseId: "%SRCROOT%"}
    elif startswith("/") then {uri: ("file://" + uri)}
    else {uri: uri} end;

def frame_name: .function // .symbol // "unknown function";

# Where a frame is: in a source file, or at least in a module.
def location:
    {logicalLocations: [{fullyQualifiedName: frame_name, kind: "function"}]}
    + if .file and .line then
          {physicalLocation: {artifactLocation: (.file | artifact), region: {startLine: .line}}}
      elif .module then
          {physicalLocation: {artifactLocation: (.module | artifact)}}
      else {} end;

def place: "\(frame_name)" + if .file and .line then " (\(.file):\(.line))" else "" end;

def stack($text):
    {message: {text: $text},
     frames: [.frames[] | {location: (location + {message: {text: frame_name}})}
                          + if .module then {module: .module} else {} end]};

# The innermost frame of the program's own sources, or with a line at all, or any.
def culprit: (map(select(.file and .line)) as $lines
    | ($lines | map(select(.file | startswith($root)))) + $lines + .)[0] // {};

def thread: "thread \(.thread.id) (\(.thread.name))";

def result:
    . as $finding
    | [{key: "freed", text: "first freed by "}, {key: "allocated", text: "allocated by "}] as $history
    | {ruleId: .kind, ruleIndex: (.kind as $kind | rules | map(.id) | index($kind)), level: "error",
       message: {text: ("\(.kind) of \(.address) (\(.description)) in " + (.frames // [] | culprit | place)
           + ([$history[] | . as $part | $finding[$part.key] // empty
               | "; " + $part.text + thread + " in " + (.frames | culprit | place)] | add // ""))},
       locations: [.frames // [] | culprit | location],
       stacks: [(select((.frames // []) != []) | stack("freed by " + if .thread then thread else "an unknown thread" end)),
                ($history[] | . as $part | $finding[$part.key] // empty | stack($part.text + thread))],
       relatedLocations: [$history[] | . as $part | $finding[$part.key] // empty
                          | . as $event | .frames | culprit
                          | location + {message: {text: ($part.text + ($event | thread))}}],
       partialFingerprints: {"stack/v1":
           ([.kind] + [.frames // [] | .[] | .function // .symbol // .offset // ""] | join(" "))}};

# What is no line of ours is left out, and told at the end.
[split("\n") | to_entries[] | select(.value != "")
    | (.value | try fromjson catch null) as $report
    | if ($report | type) == "object" and $report.mmshim == 1 then $report else {strange: (.key + 1)} end]
| {version: "2.1.0",
   "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
   runs: [{tool: {driver: {name: "mmshim", version: $version, rules: rules}},
           originalUriBaseIds: {"%SRCROOT%": {uri: ("file://" + ($root | uri))}},
           columnKind: "utf16CodeUnits",
           results: [map(select(.type == "finding") | result) | group_by(.partialFingerprints)[]
                     | (map(select(.relatedLocations != [])) + .)[0] + {occurrenceCount: length}]}]},
  (map(.strange // empty) | select(. != [])
      | "mmshim: left out, being no reports of mmshim in JSON: line \(map(tostring) | join(", "))\n"
      | halt_error(1))
