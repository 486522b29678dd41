;; A module that is fine and exports nothing a plugin needs.
(module
  (func (export "unrelated") (result i32) (i32.const 0)))
