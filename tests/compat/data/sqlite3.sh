#!/bin/bash
# sqlite3: 100,000 inserts, an index, updates, a vacuum, queries. The database files must be the same.
# packages: sqlite3
. "${0%/*}/../compare.sh"
need sqlite3

work_in_sqlite() {
    sqlite3 -batch -bail test.db <"$inputs/work.sql"
    sqlite3 -batch test.db .dump | cksum
    sqlite3 -batch test.db .dump | sqlite3 -batch copy.db
    sqlite3 -batch copy.db 'PRAGMA integrity_check'
}
compare work_in_sqlite
