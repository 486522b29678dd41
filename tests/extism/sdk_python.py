"""What a Python program does with Extism; run over either library, with the same checks."""
import hashlib, json, sys, threading
from typing import Annotated

import extism
from extism import Json, Plugin, ValType, host_fn, set_log_custom
from extism.extism import CompiledPlugin

wasm = open("modules/count_vowels.wat", "rb").read()
manifest = {"wasm": [{"data": wasm, "hash": hashlib.sha256(wasm).hexdigest()}]}
assert ("weir" in extism.extism_version()) == (sys.argv[1] == "weir"), extism.extism_version()
logs = []
buffer = set_log_custom(lambda line: logs.append(line.strip()), "trace")
seen = []


@host_fn(user_data=b"Hello again!")
def hello_world(inp: Annotated[dict, Json], *more) -> Annotated[dict, Json]:
    seen.append(more)
    inp["roundtrip"] = 1
    return inp


def fails(what, text):
    try:
        what()
    except extism.Error as e:
        assert text in str(e), (text, str(e))
        return
    raise AssertionError("no error")


plugin = Plugin(manifest, wasi=True)
assert plugin.id.version == 4
for word in ("this is a test", "aaa" * 100, b"xyz", ""):
    data = word.encode() if isinstance(word, str) else word
    answer = json.loads(plugin.call("count_vowels", word))
    assert answer == {"count": sum(c in b"aeiouAEIOU" for c in data), "roundtrip": 1}, answer
assert seen[0] == (b"Hello again!",), seen[0]
assert plugin.function_exists("count_vowels") and not plugin.function_exists("nothing")
fails(lambda: plugin.call("nothing", ""), "Function not found: nothing")
fails(lambda: plugin.call("fail", ""), "error while executing at wasm backtrace:")
fails(lambda: Plugin({"wasm": [{"data": wasm, "hash": "00"}]}), "Hash mismatch")
fails(lambda: Plugin(b"nonsense"), "Unknown manifest format")
fails(lambda: Plugin(manifest, functions=[]), "unknown import: `extism:host/user::hello_world` has not been defined")

handle = plugin.cancel_handle()
threading.Timer(0.1, handle.cancel).start()
fails(lambda: plugin.call("infinite", ""), "timeout")
assert json.loads(plugin.call("count_vowels", "again"))["count"] == 3
with Plugin(dict(manifest, timeout_ms=50)) as limited:
    fails(lambda: limited.call("infinite", ""), "timeout")

compiled = CompiledPlugin(manifest)


def work():
    with Plugin(compiled) as own:
        for _ in range(200):
            assert json.loads(own.call("count_vowels", "a thread"))["count"] == 3
    done.append(1)


done = []
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
assert len(done) == 4

plugin.call("log", "")
buffer.drain()
assert any('extism::pdk: {"count":' in line for line in logs), logs[-3:]


# A host function with types of its own, its context and bytes, from the documentation's example.
@host_fn(namespace="example", signature=([ValType.PTR], [ValType.PTR]))
def shout(current, params, results):
    current.return_string(results[0], current.input_string(params[0]).upper() + str(current.host_context()))


text = b"""(module (import "example" "shout" (func $shout (param i64) (result i64)))
  (import "extism:host/env" "input_offset" (func $input (result i64))) (import "extism:host/env" "length" (func $length (param i64) (result i64)))
  (import "extism:host/env" "output_set" (func $output (param i64 i64)))
  (func (export "go") (local $h i64) (local.set $h (call $shout (call $input))) (call $output (local.get $h) (call $length (local.get $h)))))"""
with Plugin(text, functions=[shout], config={"a": "b"}) as p:
    assert p.call("go", "hello ", host_context=5) == b"HELLO 5", p.call("go", "hello ", host_context=5)
    assert p.call("go", "x", parse=lambda b: bytes(b).decode(), host_context=None) == "XNone"
print("python over", extism.extism_version(), "fine:", len(logs), "log lines")
