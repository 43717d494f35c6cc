# Perl's way of life: hashes of arrays, strings cut and joined. Argument: rounds.
use strict;
use warnings;

for my $round (1 .. $ARGV[0]) {
    my %words;
    for my $i (1 .. 2000) {
        my $key = "key" . ($i * 7919 % 1009);
        push @{ $words{$key} }, "value $i of $round";
        $words{$key}[0] .= "+";
    }
    my $text = join ",", map { "$_=" . scalar @{ $words{$_} } } sort keys %words;
    my %count;
    $count{ (split /=/)[1] }++ for split /,/, $text;
    die "wrong count" unless $count{2} == 991;
    my @objects = map { { name => "n$_", fields => [1 .. 5] } } 1 .. 500;
}
