#!/bin/bash
# cmake, make, ctest: this project's library, demo and some of its unit tests, built with -j2 and run.
# packages: cmake make gcc g++
. "${0%/*}/../compare.sh"
need cmake make ctest

# The sources may be edited while this runs.
mkdir "$work/project"
for part in CMakeLists.txt LICENSE include src preload scripts tests; do
    cp -r "$PRELOAD_SOURCE/$part" "$work/project"
done

# The demo's bad frees are its own, and reported by the library that is linked into it. How much
# memory is taken from the system for it is no part of the program's behaviour.
run_demo() {
    status ./demo 2>&1 | sed -E '/^  committed/d; s/0x[0-9a-f]+/ADDRESS/g; s/==[0-9]+==/==PID==/; s/thread [0-9]+/thread TID/'
}

units='bitmap size_class arena batch'

build() {
    cmake -S "$work/project" -B build -G 'Unix Makefiles' -DCMAKE_BUILD_TYPE=Debug -DCMAKE_RULE_MESSAGES=OFF >varying/cmake
    make -C build -j2 memory_manager demo >varying/make
    # shellcheck disable=SC2086 # a list of words
    make -C build/tests/unit -j2 $(printf 'unit_%s ' $units) >>varying/make
    if ! ctest --test-dir build/tests/unit -j2 -R "^unit\.(${units// /|})\$" --output-on-failure >varying/ctest; then
        sed -n '/\*\*\*/,$p' varying/ctest # from the first that failed on
        return 1
    fi
    grep -o 'Test *#[0-9]*: .*Passed' varying/ctest | sed -E 's/.*: ([^ ]+) .*/passed: \1/' | sort
    mv build/libmemory_manager.a build/demo .
    run_demo
    rm -rf build
}
compare build
