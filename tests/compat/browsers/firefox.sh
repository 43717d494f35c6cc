#!/bin/bash
# firefox-esr: headless: the same page drawn, content processes in their sandbox.
# packages: firefox-esr fonts-dejavu-core
# note: has its own malloc (mozjemalloc), which stays in use: the shim is loaded and idle
. "${0%/*}/../compare.sh"
need firefox-esr

work() {
    cp "$inputs/page.html" .
    mkdir varying/profile
    printf 'user_pref("%s", %s);\n' browser.shell.checkDefaultBrowser false datareporting.policy.dataSubmissionEnabled false \
        toolkit.telemetry.enabled false app.update.enabled false >varying/profile/user.js
    chmod 777 . varying varying/profile
    unprivileged timeout 120 firefox-esr --headless --no-remote --profile "$PWD/varying/profile" --window-size 600,400 \
        --screenshot "$PWD/page.png" "file://$PWD/page.html" >varying/said 2>varying/log
    test -s page.png
}
compare work
