# What perl programs are made of. Prints what comes of it.
use strict;
use warnings;
use List::Util qw(sum max shuffle);

$| = 1;
srand(42);

# A hash of arrays, filled and thinned out.
my %by_digit;
push @{ $by_digit{ $_ % 97 } }, "item $_" x (1 + $_ % 5) for 1 .. 100_000;
delete $by_digit{$_} for grep { $_ % 3 == 0 } keys %by_digit;
printf "%d keys, %d items\n", scalar keys %by_digit, sum(map { scalar @$_ } values %by_digit);

# Strings that grow and are taken apart again.
my $text = '';
$text .= "key$_=" . ( 'v' x ( $_ % 40 ) ) . ';' for 1 .. 50_000;
my %pairs = $text =~ /(key\d+)=(v*);/g;
printf "%d bytes, %d pairs, longest %d\n", length $text, scalar keys %pairs, max(map { length } values %pairs);
( my $changed = $text ) =~ s/key(\d+)/sprintf '%x', $1/ge;
printf "%d bytes after the change\n", length $changed;
printf "%d parts\n", scalar split /[=;]/, $text;

# Sorting, with a comparison of our own.
my @sorted = sort { length $a <=> length $b or $a cmp $b } map { "n" . $_ * 7919 % 50_021 } 1 .. 50_000;
print "@sorted[0 .. 4] $sorted[-1]\n";

# Closures and cycles that are freed at the end of their round.
my $total = 0;
for my $round ( 1 .. 20_000 ) {
    my $state = { round => $round, name => "r$round" };
    my $add   = sub { $total += $state->{round} + shift };
    $add->($_) for 1 .. 3;
}
print "total $total\n";

# A big buffer, reallocated as it grows.
my $buffer = '';
$buffer .= chr( $_ % 256 ) x 4096 for 1 .. 4096;
printf "%d bytes, checksum %d\n", length $buffer, unpack '%32C*', $buffer;
undef $buffer;

# fork: the child works on what the parent allocated.
for my $child ( 1 .. 8 ) {
    my $pid = fork // die "fork: $!";
    if ( $pid == 0 ) {
        %by_digit = ();
        my @own = map { $_ * $child } 1 .. 10_000;
        exit( ( sum(@own) + $child ) % 200 );
    }
    waitpid $pid, 0;
    print "child $child ended with ", $? >> 8, "\n";
}

print scalar(`echo from a shell`);
open my $file, '>', 'pairs.txt' or die "pairs.txt: $!";
print $file "$_ $pairs{$_}\n" for sort keys %pairs;
close $file;
