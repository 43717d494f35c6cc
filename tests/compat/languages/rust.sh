#!/bin/bash
# rustc, cargo: a workspace of two crates built and tested with -j2, and the program run.
# packages: rustc cargo
. "${0%/*}/../compare.sh"
PATH=/usr/bin:$PATH # a rustup's launchers look into the real home directory
need rustc cargo

export CARGO_HOME=$work/cargo CARGO_TARGET_DIR=$work/run/varying/target CARGO_NET_OFFLINE=true

work() {
    mkdir -p app/src words/src
    cat >Cargo.toml <<<$'[workspace]\nmembers = ["app", "words"]\n'
    cat >app/Cargo.toml <<<$'[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nwords = { path = "../words" }'
    cat >words/Cargo.toml <<<$'[package]\nname = "words"\nversion = "0.1.0"\nedition = "2021"'
    cp "$inputs/work.rs" app/src/main.rs
    cat >words/src/lib.rs <<'END'
pub fn count(text: &str) -> std::collections::BTreeMap<String, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    counts
}

#[test]
fn counts() {
    assert_eq!(count("a b A")["a"], 2);
}
END
    cargo build -q -j2 --release
    cargo test -q -j2 | grep 'test result' | sed 's/; finished.*//'
    "$CARGO_TARGET_DIR/release/app"
    rm Cargo.lock
    status rustc --crate-type lib -o varying/none - <<<'fn broken( {'
}
compare work
