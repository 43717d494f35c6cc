#!/bin/bash
# redis: redis-benchmark, a background save meanwhile, and the data read back.
# packages: redis-server redis-tools
# note: Debian's links libjemalloc, whose place the shim takes; what INFO and MEMORY tell of the allocator is of the idle jemalloc
. "${0%/*}/../compare.sh"
need redis-server redis-cli redis-benchmark

settings=(
    --port 0 --unixsocket socket --save '' --dbfilename varying.rdb
    --daemonize no --logfile '' --protected-mode no --lazyfree-lazy-user-del yes
)
# From version 7 on, the commands for tests are locked away.
if redis-server --version | grep -q 'v=\([789]\|[1-9][0-9]\)\.'; then
    settings+=(--enable-debug-command local)
fi

cli() {
    redis-cli -s socket "$@"
}

start_redis() {
    start_server redis-server "${settings[@]}" >>varying/log
    server=${servers[-1]}
    retry cli ping
}

stop_redis() {
    cli shutdown "$@"
    status wait "$server"
}

saved_in_background() {
    cli info persistence | grep -q rdb_bgsave_in_progress:0 &&
        cli info persistence | grep -q rdb_last_bgsave_status:ok
}

data_set() {
    seq 40000 | sed 's/.*/SET string:& value-of-&/'
    seq 4000 | sed 's/.*/HSET hash:& a & b two c 3.5/'
    seq 10000 | sed 's/.*/RPUSH list x& y& z&/'
    seq 10000 | sed 's/.*/ZADD scores & member:&/'
    seq 10000 | sed 's/.*/SADD set m&/'
    seq 5000 | sed 's/.*/XADD stream &-1 field value/'
    seq 10000 | sed 's/.*/APPEND long text-&/'
}

use_redis() {
    start_redis
    data_set | cli --pipe | tail -n 1
    redis-benchmark -s socket -q -n 20000 -c 20 -P 4 -d 200 \
        -t set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,zadd,lrange_100,mset >varying/benchmark &
    local benchmark=$!
    cli bgsave
    status wait "$benchmark"
    retry saved_in_background
    cli bgsave
    retry saved_in_background
    cli eval 'local t = {} for i = 1, 10000 do t[i] = redis.call("GET", "string:" .. i) end return #table.concat(t, ",")' 0
    cli --raw lrange list 100 105
    cli del list >/dev/null
    cli unlink scores
    cli config set maxmemory-policy allkeys-lru
    cli dbsize
    cli debug digest
    cli debug reload
    cli debug digest
    stop_redis save

    start_redis
    cli dbsize
    cli debug digest
    cli flushall async
    cli dbsize
    stop_redis nosave
    servers=()
    mv varying.rdb varying
}
compare use_redis
