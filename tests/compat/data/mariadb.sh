#!/bin/bash
# mariadb: a data directory made, 8 clients of mysqlslap, InnoDB, Aria and memory tables, a dump loaded again.
# packages: mariadb-server mariadb-client
. "${0%/*}/../compare.sh"
need mariadbd mariadb mariadb-install-db mariadb-dump mariadb-slap

sql() {
    mariadb --no-defaults -S "$PWD/varying/socket" -u root -N "$@"
}

work() {
    chmod 777 varying
    local user
    user=$(id -un)
    mariadb-install-db --no-defaults --user="$user" --datadir="$PWD/varying/data" --auth-root-authentication-method=normal \
        >varying/install 2>&1
    start_server mariadbd --no-defaults --user="$user" --datadir="$PWD/varying/data" --socket="$PWD/varying/socket" \
        --skip-networking --pid-file="$PWD/varying/pid" --log-error="$PWD/varying/log" --innodb-buffer-pool-size=32M \
        >varying/said 2>&1
    local server=${servers[-1]}
    retry sql -e 'select 1'
    sql -e 'create database work'
    sql work <<'END'
create table t (n int primary key, k int, name varchar(100), doc text, key (k)) engine=innodb;
insert into t select seq, seq * 7919 % 10007, concat('name ', seq), concat('text of number ', seq, ' and ', seq % 50) from seq_1_to_20000;
select count(*), sum(k), max(name) from t;
select k % 10, count(*), left(group_concat(name order by n), 60) from t group by 1 order by 1;
select count(*) from t a join t b using (k) where a.name regexp '9+$';
create table f (n int primary key, doc text, fulltext (doc)) engine=aria; -- InnoDB's index is filled in the background
insert into f select n, doc from t;
select count(*) from f where match (doc) against ('+text +number' in boolean mode);
create table m engine=memory as select k, name from t limit 5000;
create table a engine=aria as select * from t where k < 5000;
select count(*) from m join a using (k);
delimiter //
create procedure p(x int) begin declare i int default 0; while i < x do update t set name = concat(name, '!') where n = i; set i = i + 1; end while; end//
delimiter ;
call p(500);
start transaction; delete from t where k % 2; rollback;
select md5(group_concat(name order by n separator '')) from t where n < 700;
with recursive f as (select 1 as n union all select n + 1 from f where n < 500) select sum(n) from f;
select json_extract(json_object('a', json_array(1, 2, 3)), '$.a[1]'), st_astext(point(1, 2)), sha2('text', 256);
END
    mariadb-slap --no-defaults -S "$PWD/varying/socket" -u root -a --auto-generate-sql-guid-primary -c 8 -i 2 \
        --number-of-queries=2000 >varying/slap
    mariadb-dump --no-defaults -S "$PWD/varying/socket" -u root --skip-comments --skip-dump-date work t a >varying/dump.sql
    sql -e 'create database copy'
    sql copy <varying/dump.sql
    sql copy -e 'select count(*), sum(k) from t; check table t, a'
    status sql -e 'select nothing'
    sql -e shutdown
    status wait "$server"
    servers=()
}
compare work
