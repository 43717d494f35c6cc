# What Tcl programs are made of. Prints what comes of it.
set d [dict create]
for {set i 0} {$i < 50000} {incr i} { dict set d [expr {$i * 7919 % 10007}] "value $i" }
puts "[dict size $d] [dict get $d 42]"
set text {}
foreach i [lsort -integer -decreasing [dict keys $d]] { append text $i , }
puts "[string length $text] [regexp -all {9+} $text] [llength [split $text ,]]"
puts [regsub -all {([0-9])([0-9]),} [string range $text 0 60] {\2\1;}]
proc gen {} { yield; for {set i 0} {$i < 1000} {incr i} { yield [string repeat x $i] } }
coroutine next gen
set sum 0
for {set i 0} {$i < 1000} {incr i} { incr sum [string length [next]] }
puts "$sum [expr {2 ** 300 % 10 ** 20}]"
puts [exec seq 1000 | tail -n 1]
set f [open out w]; puts $f [zlib crc32 [zlib decompress [zlib compress $text]]]; close $f
set f [open out]; puts [read -nonewline $f]; close $f
namespace eval n { variable v 1; proc p {} { variable v; incr v } }
puts "[n::p] [n::p] [catch {error broken} message] $message"
interp create child; puts [child eval {expr {6 * 7}}]; interp delete child
