#lang racket/base
;; What Racket programs are made of. Prints what comes of it.
(require racket/list racket/string racket/future ffi/unsafe)
(define table (for/hash ([i 50000]) (values (modulo (* i 7919) 10007) (number->string i))))
(displayln (hash-count table))
(displayln (modulo (apply * (range 1 300)) (expt 10 50)))
(define text (string-append* (map number->string (range 20000))))
(displayln (list (string-length text) (length (regexp-match* #rx"9+" text))))
(displayln (apply + (map touch (for/list ([i 8]) (future (lambda () (for/sum ([n 10000]) (* n i))))))))
(define blocks (for/list ([n (in-range 1 3000)]) (let ([p (malloc n 'raw)]) (memset p 1 n) p)))
(displayln (for/sum ([p blocks]) (ptr-ref p _byte)))
(for-each free blocks)
(displayln (call-with-escape-continuation (lambda (k) (for ([n 100]) (when (> n 10) (k n))) 'none)))
(collect-garbage)
