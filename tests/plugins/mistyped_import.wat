;; ws_connect as Go compiles it when the parameter is a string: pointer and length instead of one offset.
(module
  (import "env" "ws_connect" (func (param i32 i32) (result i64)))
  (func (export "meta") (result i32) (i32.const 0)))
