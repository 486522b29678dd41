;; Imports a host function that no host has. It must link all the same, and answer an error document.
(module
  (import "extism:host/user" "some_unknown" (func $ask (param i64) (result i64)))
  (import "extism:host/env" "length" (func $length (param i64) (result i64)))
  (import "extism:host/env" "output_set" (func $output (param i64 i64)))
  (func (export "meta") (result i32) (i32.const 0))
  (func (export "ask") (result i32)
    (local $reply i64)
    (local.set $reply (call $ask (i64.const 0)))
    (call $output (local.get $reply) (call $length (local.get $reply)))
    (i32.const 0)))
