#!/bin/bash
# php: arrays, strings, regular expressions, closures, generators, and the extensions sqlite3, dom, mbstring, gd, intl.
# packages: php-cli php-sqlite3 php-xml php-mbstring php-gd php-intl
. "${0%/*}/../compare.sh"
need php

work() {
    php -d memory_limit=512M "$inputs/work.php"
    USE_ZEND_ALLOC=0 php -d memory_limit=512M "$inputs/work.php"
}
compare work
