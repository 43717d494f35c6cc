PRAGMA journal_mode = WAL;
CREATE TABLE event (id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount REAL, payload BLOB);
BEGIN;
WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < 100000)
INSERT INTO event
SELECT n, printf('name-%05d', n * 7919 % 100003), n * 0.25, zeroblob(n % 200) FROM counter;
COMMIT;
CREATE INDEX event_name ON event (name);
CREATE INDEX event_amount ON event (amount, name) WHERE id % 3 = 0;
SELECT count(*), min(name), max(name), sum(amount) FROM event;
SELECT name, length(payload) FROM event WHERE name BETWEEN 'name-00500' AND 'name-00510' ORDER BY name;
SELECT id % 7 AS part, count(*), group_concat(id % 10, '') LIKE '%5%' FROM event GROUP BY part;
SELECT a.name FROM event a JOIN event b ON a.name = b.name AND a.id = b.id ORDER BY a.amount DESC LIMIT 5;
UPDATE event SET payload = CAST(printf('%.*c', id % 500, 'x') AS BLOB) WHERE id % 4 = 0;
DELETE FROM event WHERE id % 5 = 0;
ANALYZE;
VACUUM;
PRAGMA integrity_check;
SELECT count(*), sum(length(payload)) FROM event;
CREATE TEMP TABLE number (value TEXT);
INSERT INTO number SELECT json_extract(json_object('id', id, 'name', name), '$.name') FROM event LIMIT 20000;
SELECT count(DISTINCT value) FROM number;
SELECT name, row_number() OVER (ORDER BY amount DESC) FROM event LIMIT 3;
