import { Config, Host, LogLevel, Memory, Var } from "@extism/as-pdk";

@external("extism:host/user", "ws_send")
declare function ws_send(request: u64): u64;
@external("extism:host/user", "sleep_ms")
declare function sleep_ms(ms: u64): u64;
@external("extism:host/env", "length")
declare function length(offset: u64): u64;
@external("extism:host/env", "error_set")
declare function error_set(offset: u64): void;

function onAbort(message: string | null, file: string | null, line: u32, column: u32): void {}

export function greet(): i32 {
  const name = Host.inputString();
  Host.log(LogLevel.Info, "greeting " + name);
  const greeting = Config.get("greeting");
  Host.outputString((greeting === null ? "hello" : greeting) + ", " + name);
  return 0;
}

export function count(): i32 {
  const before = Var.getString("n");
  const n = (before === null ? 0 : I32.parseInt(before)) + 1;
  Var.set("n", Uint8Array.wrap(String.UTF8.encode(n.toString())));
  Host.outputString(n.toString());
  return 0;
}

export function fails(): i32 {
  error_set(Memory.allocateString("no such market").offset);
  return 1;
}

export function asks(): i32 {
  const request = Memory.allocateString('{"connectionId":"none","message":"x"}');
  const at = ws_send(request.offset);
  Host.outputString(new Memory(at, length(at)).toString());
  return 0;
}

export function sleeps(): i32 {
  sleep_ms(U64.parseInt(Host.inputString()));
  Host.outputString("awake");
  return 0;
}

export function spins(): i32 {
  for (let n: u64 = 1; n != 0; ) n |= 1;
  return 0;
}
