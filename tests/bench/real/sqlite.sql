-- A database in memory: inserts, an index, joins, aggregates, updates. :rows is set by the caller.
create table item (id integer primary key, name text, price real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < :rows)
insert into item select i, 'item ' || (i * 7919 % 100003), i * 0.5 from n;
create index item_name on item (name);
select count(*), sum(total) from
    (select sum(price) as total from item group by substr(name, 1, 8));
update item set name = name || ' (sold)' where id % 3 = 0;
select count(*) from item a join item b on a.name = b.name where a.id < b.id + 10;
select length(json_group_array(json_object('name', name, 'price', price))) from item;
select count(*) from (select name, row_number() over (partition by id % 100 order by price) from item);
delete from item where id % 5 = 0;
select count(*), max(name) from item;
