#!/bin/bash
# tmux: a server of its own with windows, panes, input, scrollback and captured screens.
# packages: tmux
. "${0%/*}/../compare.sh"
need tmux

: >"$work/tmux.conf"

in_tmux() {
    tmux -f "$work/tmux.conf" -S socket "$@"
}

screen_shows() {
    in_tmux capture-pane -p -t "$1" | grep -q "$2"
}

# The server stays in the foreground, so that its stderr is ours.
use_tmux() {
    export SHELL=/bin/sh PS1='$ '
    unset TMUX ENV
    start_server tmux -D -f "$work/tmux.conf" -S socket
    local server=$!
    retry test -S socket
    retry in_tmux new-session -d -s work -x 100 -y 30 cat
    in_tmux send-keys -t work:0 'typed into cat' Enter
    retry screen_shows work:0 'typed into cat'
    in_tmux set-option -g history-limit 20000
    in_tmux new-window -d -t work:1 'seq 15000; echo printed; exec cat'
    retry screen_shows work:1 printed
    local i
    for i in 2 3 4 5 6 7 8; do
        in_tmux new-window -d -t "work:$i" "printf '\\033[1;3%sm%s\\033[0m\\n' $i coloured; exec cat"
        in_tmux split-window -d -h -t "work:$i" 'exec cat'
        in_tmux split-window -d -v -t "work:$i.1" 'echo third; exec cat'
        in_tmux resize-pane -t "work:$i.0" -x 30
        retry screen_shows "work:$i.0" coloured
        retry screen_shows "work:$i.2" third
    done
    in_tmux capture-pane -p -t work:0
    in_tmux capture-pane -p -S - -t work:1 | cksum
    in_tmux capture-pane -e -p -t work:3.0
    in_tmux list-windows -t work -F '#{window_index} #{window_panes} #{window_layout}'
    in_tmux set-buffer -b text "$(seq 2000)"
    in_tmux show-buffer -b text | cksum
    in_tmux kill-window -t work:4
    in_tmux select-layout -t work:5 tiled
    in_tmux list-panes -s -t work -F '#{window_index}.#{pane_index} #{pane_width}x#{pane_height}'
    status in_tmux has-session -t nothing
    in_tmux kill-server
    status wait "$server"
    servers=()
    rm -f socket
}
compare use_tmux
