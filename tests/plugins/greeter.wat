;; Passes its input to the embedding program's own function `greet` and answers what it got: for
;; examples/host_function.c.
(module
  (import "extism:host/env" "input_offset" (func $input_offset (result i64)))
  (import "extism:host/env" "length" (func $length (param i64) (result i64)))
  (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
  (import "extism:host/user" "greet" (func $greet (param i64) (result i64)))
  (func (export "greet_me") (result i32)
    (local $reply i64)
    (local.set $reply (call $greet (call $input_offset)))
    (call $output_set (local.get $reply) (call $length (local.get $reply)))
    (i32.const 0)))
