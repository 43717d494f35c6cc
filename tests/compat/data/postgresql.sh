#!/bin/bash
# postgres, initdb, psql, pgbench, pg_dump: a cluster made, pgbench with 4 clients, parallel queries, a dump loaded again.
# packages: postgresql
. "${0%/*}/../compare.sh"
bin=$(find /usr/lib/postgresql -path '*/bin/initdb' -printf '%h\n' 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || skip "postgresql is not installed"
PATH=$bin:$PATH
need initdb postgres psql pgbench pg_dump

sql() {
    psql -X -q -At -v ON_ERROR_STOP=1 -h "$PWD/varying" -U postgres "$@"
}

use_postgres() {
    initdb -D varying/data -U postgres -A trust --locale=C >varying/initdb
    start_server postgres -D varying/data -k "$PWD/varying" -c listen_addresses= -c log_min_messages=warning \
        -c max_parallel_workers_per_gather=2 -c min_parallel_table_scan_size=0 -c parallel_setup_cost=0 -c jit=on -c jit_above_cost=0 >varying/log 2>&1
    local server=${servers[-1]}
    retry sql -c 'select 1' postgres
    sql -c 'create database bench' postgres
    pgbench -h "$PWD/varying" -U postgres -q -i -s 2 bench >varying/init 2>&1
    pgbench -h "$PWD/varying" -U postgres -c 4 -j 2 -t 300 bench >varying/bench 2>&1
    grep -E '^number of (transactions actually|failed)' varying/bench
    pgbench -h "$PWD/varying" -U postgres -n -S -M prepared -c 4 -j 2 -t 1000 bench >>varying/bench 2>&1
    sql bench <<'END'
create table t as select n, n * 7919 % 10007 as k, 'name ' || n as name, jsonb_build_object('n', n, 'tags', array[n % 3, n % 5]) as doc
    from generate_series(1, 50000) n;
create index on t (k); create index on t using gin (doc); analyze t;
select count(*), sum(k), max(name) from t;
select k % 10, count(*), string_agg(name, ',' order by n) filter (where n < 60) from t group by 1 order by 1;
select count(*) from t where doc @> '{"tags": [2]}';
select count(*) from t a join t b using (k) where a.name ~ '9+$';
with recursive f(a, b) as (values (0::numeric, 1::numeric) union all select b, a + b from f where b < 1e40) select max(a) from f;
create function twice(x int) returns int language plpgsql as $$ begin return x * 2; end $$;
select sum(twice(n)) from t;
begin; update t set name = name || '!' where k % 2 = 0; savepoint s; delete from t; rollback to s; commit;
vacuum full t; select md5(string_agg(name, '' order by n)) from t;
select count(*) from pgbench_history;
END
    pg_dump -h "$PWD/varying" -U postgres -t t bench | sed '/^-- Dumped/d; /^\\\(un\)\?restrict/d' >varying/dump.sql
    sql -c 'create database copy' postgres
    sql -f varying/dump.sql copy >varying/load
    sql -c 'select count(*), sum(k) from t' copy
    status sql -c 'select nothing' copy
    kill -INT "$server"
    status wait "$server"
    servers=()
}

# It won't run as root.
work() {
    if [ "$(id -u)" = 0 ]; then
        export -f use_postgres sql start_server retry status
        unprivileged bash -c 'set -euo pipefail; servers=(); trap "kill \${servers[*]} 2>/dev/null || true" EXIT; use_postgres'
    else
        use_postgres
    fi
}
compare work
