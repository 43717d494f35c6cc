#!/bin/bash
# ssh-keygen, ssh, sshd, scp, sftp, ssh-agent: keys of each kind, signatures, and a session through a pipe to a server.
# packages: openssh-client openssh-server
. "${0%/*}/../compare.sh"
need ssh-keygen ssh ssh-agent ssh-add scp sftp
sshd=$(command -v sshd) || skip "sshd is not installed"
compare_stderr=no # host keys are new in each run

work() {
    mkdir -p varying/ssh
    cd varying/ssh
    chmod 700 .
    local kind user
    user=$(id -un)
    for kind in rsa ecdsa ed25519; do
        ssh-keygen -q -t "$kind" -N '' -C comment -f "key_$kind"
        ssh-keygen -l -f "key_$kind" | awk '{ print $1, $3, $4 }'
        ssh-keygen -y -f "key_$kind" | cmp - <(cut -d' ' -f 1-3 "key_$kind.pub")
        seq 1000 | ssh-keygen -q -Y sign -n file -f "key_$kind" >signature 2>/dev/null
        echo "me $(cat "key_$kind.pub")" >signers
        seq 1000 | ssh-keygen -Y verify -n file -I me -f signers -s signature | cut -d' ' -f 1-6
    done
    ssh-keygen -q -p -N secret -f key_rsa
    ssh-keygen -q -s key_ed25519 -I id -n "$user" key_ecdsa.pub
    ssh-keygen -L -f key_ecdsa-cert.pub | grep -E 'Type|Key ID|Serial'
    cp key_ed25519.pub authorized
    printf 'HostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nPidFile none\nUsePAM no\nSubsystem sftp internal-sftp\n' \
        "$PWD/key_ecdsa" "$PWD/authorized" >sshd_config
    mkdir -p /run/sshd 2>/dev/null || true
    eval "$(ssh-agent -s -a "$PWD/agent")" >/dev/null
    servers+=("$SSH_AGENT_PID")
    ssh-add -q key_ed25519
    ssh-add -l | awk '{ print $3, $4 }'
    options=(-F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile="$PWD/known"
        -o ProxyCommand="$sshd -i -f $PWD/sshd_config")
    # Where sshd may not start sessions (an account without a shell), there is nothing to compare.
    if ssh "${options[@]}" "$user@host" true; then
        ssh "${options[@]}" "$user@host" 'seq 100000 | cksum; echo to stderr >&2'
        status ssh "${options[@]}" "$user@host" 'exit 7'
        seq 100000 >numbers
        scp -q "${options[@]}" numbers "$user@host:$PWD/copied"
        cmp numbers copied
        echo "get $PWD/numbers $PWD/got" | sftp -q "${options[@]}" -b - "$user@host" >/dev/null
        cmp numbers got
    fi
    ssh-add -q -D
}
compare work
