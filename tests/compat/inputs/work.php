<?php
// What PHP programs are made of. Prints what comes of it.
$live = [];
$state = 1;
for ($i = 0; $i < 100000; $i++) {
    $state = ($state * 1103515245 + 12345) % 2147483648;
    $live[$state % 1000] = [str_repeat((string)$state, $state % 30), range(0, $state % 50), new ArrayObject([$i])];
}
echo array_sum(array_map(fn($v) => strlen($v[0]) + array_sum($v[1]), $live)), "\n";
$document = [];
for ($i = 0; $i < 5000; $i++) $document[] = ['id' => $i, 'name' => "näme $i", 'values' => [$i / 8, null, true]];
$text = json_encode($document);
echo strlen($text), ' ', json_decode($text, true) == $document ? 'same' : 'different', ' ', strlen(serialize($document)), "\n";
echo strlen(preg_replace_callback('/\d+/', fn($m) => strrev($m[0]) . '!', $text)), ' ', hash('sha256', gzuncompress(gzcompress($text))), "\n";
usort($document, fn($a, $b) => strcmp($a['name'], $b['name']));
echo $document[42]['name'], "\n";
function numbers() { for ($i = 0; $i < 20000; $i++) yield $i => "value $i"; }
echo count(iterator_to_array(numbers())), "\n";
for ($i = 0; $i < 20000; $i++) { $a = new stdClass; $b = new stdClass; $a->b = $b; $b->a = $a; }
echo gc_collect_cycles() > 0 ? 'collected' : 'nothing', "\n";

if (extension_loaded('sqlite3')) {
    $db = new SQLite3(':memory:');
    $db->exec('create table t (id integer primary key, name text); begin');
    $insert = $db->prepare('insert into t (name) values (?)');
    for ($i = 0; $i < 5000; $i++) { $insert->bindValue(1, "name $i"); $insert->execute(); $insert->reset(); }
    $db->exec('commit');
    echo $db->querySingle('select count(*) || max(name) from t'), "\n";
}
if (extension_loaded('dom')) {
    $dom = new DOMDocument;
    $root = $dom->appendChild($dom->createElement('root'));
    for ($i = 0; $i < 3000; $i++) $root->appendChild($dom->createElement('item', "text $i"))->setAttribute('n', $i);
    $copy = new DOMDocument;
    $copy->loadXML($dom->saveXML());
    echo (new DOMXPath($copy))->query('//item[@n mod 7 = 0]')->length, ' ', md5($copy->saveXML()), "\n";
    $simple = simplexml_import_dom($copy);
    echo count($simple->item), "\n";
}
if (extension_loaded('mbstring')) echo mb_strtoupper(mb_substr(str_repeat('äöü', 1000), 5, 10)), mb_strlen($text), "\n";
if (extension_loaded('gd')) {
    $image = imagecreatetruecolor(300, 200);
    for ($i = 0; $i < 100; $i++) imageline($image, $i * 3, 0, 300 - $i, 199, imagecolorallocate($image, $i, 2 * $i, 255 - $i));
    $image = imagescale($image, 150);
    ob_start();
    imagepng($image);
    echo md5(ob_get_clean()), "\n";
}
if (extension_loaded('intl')) {
    $words = ['zebra', 'Äpfel', 'apfel', 'öl'];
    (new Collator('de_DE'))->sort($words);
    echo implode(' ', $words), ' ', (new NumberFormatter('de_DE', NumberFormatter::DECIMAL))->format(1234567.891), "\n";
}
echo trim(shell_exec('seq 1000 | tail -n 1')), "\n";
