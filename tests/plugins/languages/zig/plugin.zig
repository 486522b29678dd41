// A guest in Zig against the functions themselves, since no registry has a kit for it: what tests/e2e/languages_test.c asks of every language.
const std = @import("std");

const env = struct {
    extern "extism:host/env" fn input_length() u64;
    extern "extism:host/env" fn input_load_u8(at: u64) u8;
    extern "extism:host/env" fn output_set(at: u64, len: u64) void;
    extern "extism:host/env" fn error_set(at: u64) void;
    extern "extism:host/env" fn alloc(len: u64) u64;
    extern "extism:host/env" fn free(at: u64) void;
    extern "extism:host/env" fn length(at: u64) u64;
    extern "extism:host/env" fn load_u8(at: u64) u8;
    extern "extism:host/env" fn store_u8(at: u64, octet: u8) void;
    extern "extism:host/env" fn config_get(key: u64) u64;
    extern "extism:host/env" fn var_get(key: u64) u64;
    extern "extism:host/env" fn var_set(key: u64, value: u64) void;
    extern "extism:host/env" fn log_info(text: u64) void;
};
const user = struct {
    extern "extism:host/user" fn ws_send(request: u64) u64;
    extern "extism:host/user" fn sleep_ms(ms: u64) u64;
};

var room: [4096]u8 = undefined;

fn put(text: []const u8) u64 {
    const at = env.alloc(text.len);
    for (text, 0..) |octet, i| env.store_u8(at + i, octet);
    return at;
}

fn answer(text: []const u8) i32 {
    env.output_set(put(text), text.len);
    return 0;
}

fn take(at: u64, into: []u8) []u8 {
    const len: usize = @intCast(@min(env.length(at), into.len));
    for (0..len) |i| into[i] = env.load_u8(at + i);
    return into[0..len];
}

fn input(into: []u8) []u8 {
    const len: usize = @intCast(@min(env.input_length(), into.len));
    for (0..len) |i| into[i] = env.input_load_u8(i);
    return into[0..len];
}

export fn greet() i32 {
    var name_room: [256]u8 = undefined;
    var greeting_room: [256]u8 = undefined;
    const name = input(&name_room);
    env.log_info(put(std.fmt.bufPrint(&room, "greeting {s}", .{name}) catch return 1));
    const at = env.config_get(put("greeting"));
    const greeting = if (at == 0) "hello" else take(at, &greeting_room);
    return answer(std.fmt.bufPrint(&room, "{s}, {s}", .{ greeting, name }) catch return 1);
}

export fn count() i32 {
    const before = take(env.var_get(put("n")), &room);
    const n = 1 + (std.fmt.parseInt(u64, before, 10) catch 0);
    const text = std.fmt.bufPrint(&room, "{d}", .{n}) catch return 1;
    env.var_set(put("n"), put(text));
    return answer(text);
}

export fn fails() i32 {
    env.error_set(put("no such market"));
    return 1;
}

export fn asks() i32 {
    const at = user.ws_send(put("{\"connectionId\":\"none\",\"message\":\"x\"}"));
    return answer(take(at, &room));
}

export fn sleeps() i32 {
    _ = user.sleep_ms(std.fmt.parseInt(u64, input(&room), 10) catch return 1);
    return answer("awake");
}

export fn spins() i32 {
    var n: u64 = 1;
    while (n != 0) {
        n |= 1;
        std.mem.doNotOptimizeAway(n);
    }
    return 0;
}
