;; Asks for the right functions in the wrong places: ws_connect of extism:host/env, alloc of env.
(module
  (import "extism:host/env" "ws_connect" (func (param i64) (result i64)))
  (import "env" "alloc" (func (param i64) (result i64)))
  (func (export "meta") (result i32) (i32.const 0)))
