; In a group where each element is its own inverse, products may be turned round: a proof by
; instantiating quantifiers, as verifiers of programs have them made by the thousand.
(set-option :produce-proofs true)
(declare-sort G 0)
(declare-fun m (G G) G)
(declare-const e G)
(declare-const a G)
(declare-const b G)
(assert (forall ((x G) (y G) (z G)) (= (m x (m y z)) (m (m x y) z))))
(assert (forall ((x G)) (= (m e x) x)))
(assert (forall ((x G)) (= (m x x) e)))
(assert (not (= (m a b) (m b a))))
(check-sat)
(reset)
