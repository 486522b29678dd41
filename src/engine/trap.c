/* Why a guest stopped, in one line of our own words, and its back-trace.
 *
 * Wasmtime reports a wasm trap as wasm_trap_t, with a code; whatever a host function returned, and
 * its own failures, as wasmtime_error_t. Both can be printed: the back-trace with names already
 * demangled, an empty line, then the causes, outermost first. That text is read here; the version
 * is pinned, and a text of another shape only costs the trace. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "engine/inside.h"

#define TEXT_MAX 1024
#define TRACE_MAX ((size_t)16 << 10)

struct trap {
    trap_kind kind;
    bool exits;
    int32_t exit_code;
    char *trace;      /* NULL until the guest's frames are known */
    const char *text; /* lies behind */
};

/* Answered where there is no memory for a better one. Never freed, never written. */
static const trap no_memory = {TRAP_HOST, false, 0, NULL, "out of memory"};

static trap *out_of_memory(void)
{
    return (trap *)&no_memory;
}

static void one_line(char *text)
{
    for (; *text; text++)
        if (iscntrl((unsigned char)*text))
            *text = '?';
}

trap *trap_with_kind(trap_kind kind, const char *text)
{
    size_t len = strlen(text);
    trap *t = calloc(1, sizeof *t + len + 1);
    if (!t)
        return out_of_memory();
    char *copy = (char *)(t + 1);
    memcpy(copy, text, len);
    one_line(copy);
    t->kind = kind;
    t->text = copy;
    return t;
}

static trap *trap_format(trap_kind kind, const char *format, va_list args)
{
    char text[TEXT_MAX];
    vsnprintf(text, sizeof text, format, args);
    return trap_with_kind(kind, text);
}

trap *trap_new(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    trap *t = trap_format(TRAP_HOST, format, args);
    va_end(args);
    return t;
}

trap *trap_outside(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    trap *t = trap_format(TRAP_MEMORY, format, args);
    va_end(args);
    return t;
}

trap *trap_exit(int32_t code)
{
    trap *t = trap_new("exit with code %d", (int)code);
    if (t != out_of_memory()) {
        t->exits = true;
        t->exit_code = code;
    }
    return t;
}

const char *trap_text(const trap *t)
{
    return t->text;
}

const char *trap_trace(const trap *t)
{
    return t->trace ? t->trace : "";
}

trap_kind trap_kind_of(const trap *t)
{
    return t->kind;
}

bool trap_exit_code(const trap *t, int32_t *code)
{
    if (t->exits)
        *code = t->exit_code;
    return t->exits;
}

void trap_free(trap *t)
{
    if (!t || t == out_of_memory())
        return;
    free(t->trace);
    free(t);
}

/* ---- Reading Wasmtime's text ---- */

/* Cuts one line off the front of *rest. */
static bool take_line(bytes *rest, bytes *line)
{
    if (!rest->len)
        return false;
    const char *end = memchr(rest->at, '\n', rest->len);
    line->at = rest->at;
    line->len = end ? (size_t)(end - rest->at) : rest->len;
    size_t used = line->len + (end ? 1 : 0);
    rest->at += used;
    rest->len -= used;
    while (line->len && *line->at == ' ') {
        line->at++;
        line->len--;
    }
    return true;
}

static size_t digits(bytes line)
{
    size_t n = 0;
    while (n < line.len && isdigit((unsigned char)line.at[n]))
        n++;
    return n;
}

/* "3:   0x1977 - woox.wasm!main.parse" -> "  3: 0x1977 woox.wasm!main.parse\n"; where a function has
 * just been entered there is no address, and a name right behind the number */
static bool add_frame(buf *trace, bytes line)
{
    size_t n = digits(line);
    if (!n || n + 2 >= line.len || line.at[n] != ':')
        return false;
    bytes where = BYTES("?"), name = bytes_make(line.at + n + 2, line.len - n - 2);
    const char *address = memmem(name.at, name.len, "0x", 2), *dash = memmem(name.at, name.len, " - ", 3);
    if (address && dash && address < dash) {
        where = bytes_make(address, (size_t)(dash - address));
        name = bytes_make(dash + 3, name.len - (size_t)(dash + 3 - name.at));
    }
    if (bytes_starts(name, BYTES("<unknown>!")))
        name = bytes_make(name.at + 10, name.len - 10);
    buf_add_fmt(trace, "%*s" BYTES_FMT ": " BYTES_FMT " ", n < 3 ? (int)(3 - n) : 0, "",
                BYTES_ARG(bytes_make(line.at, n)), BYTES_ARG(where));
    for (size_t i = 0; i < name.len; i++)
        buf_add_char(trace, iscntrl((unsigned char)name.at[i]) ? '?' : name.at[i]);
    buf_add_char(trace, '\n');
    return true;
}

/* "at src/main.go:12:3", present when the engine was told to read debug data */
static void add_place(buf *trace, bytes line)
{
    if (trace->len && bytes_starts(line, BYTES("at "))) {
        trace->len--; /* the newline */
        buf_add_fmt(trace, " " BYTES_FMT "\n", BYTES_ARG(line));
    }
}

/* Splits a report into its frames and its causes, the latter joined by ": ". */
static void read_report(bytes report, buf *trace, buf *causes)
{
    bytes line;
    bool in_causes = false, in_frames = false;
    while (take_line(&report, &line)) {
        if (bytes_is(line, "Caused by:"))
            in_causes = true, in_frames = false;
        else if (bytes_starts(line, BYTES("error while executing at wasm backtrace")))
            in_frames = true;
        else if (in_frames && line.len && !bytes_starts(line, BYTES("note:"))) {
            if (!add_frame(trace, line))
                add_place(trace, line);
        } else if (line.len && !in_frames) {
            size_t n = digits(line);
            if (in_causes && n && n + 1 < line.len && line.at[n] == ':')
                line = bytes_make(line.at + n + 2, line.len - n - 2);
            if (causes->len)
                buf_add_text(causes, ": ");
            buf_add_bytes(causes, line);
        }
    }
}

static const struct {
    trap_kind kind;
    const char *text;
} codes[] = {
    [WASMTIME_TRAP_CODE_STACK_OVERFLOW] = {TRAP_STACK, "call stack exhausted"},
    [WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS] = {TRAP_MEMORY, "memory access out of bounds"},
    [WASMTIME_TRAP_CODE_HEAP_MISALIGNED] = {TRAP_MEMORY, "misaligned memory access"},
    [WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS] = {TRAP_TABLE, "table access out of bounds"},
    [WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL] = {TRAP_INDIRECT, "call through an empty table entry"},
    [WASMTIME_TRAP_CODE_BAD_SIGNATURE] = {TRAP_INDIRECT, "indirect call of a function of another type"},
    [WASMTIME_TRAP_CODE_INTEGER_OVERFLOW] = {TRAP_ARITHMETIC, "integer overflow"},
    [WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO] = {TRAP_ARITHMETIC, "integer division by zero"},
    [WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER] = {TRAP_ARITHMETIC, "number does not fit the integer type"},
    [WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED] = {TRAP_UNREACHABLE, "unreachable executed"},
    [WASMTIME_TRAP_CODE_INTERRUPT] = {TRAP_INTERRUPT, "interrupted"},
};

/* "memory fault at wasm address 0x20000 in linear memory of size 0x10000" is one of the causes */
static void describe_fault(char *text, size_t size, bytes causes)
{
    unsigned long long address, memory;
    const char *fault = memmem(causes.at, causes.len, "wasm address 0x", 15);
    if (fault && sscanf(fault, "wasm address 0x%llx in linear memory of size 0x%llx", &address, &memory) == 2)
        snprintf(text, size, "memory access out of bounds: address 0x%llx, memory ends at 0x%llx", address, memory);
}

/* A trap of Wasmtime's own, from its code or, without one, from what it says. */
static trap *describe(const wasm_trap_t *wasm, bytes causes)
{
    char text[TEXT_MAX];
    trap_kind kind = TRAP_OTHER;
    wasmtime_trap_code_t code;
    snprintf(text, sizeof text, "%.*s", (int)(causes.len < sizeof text ? causes.len : sizeof text - 1), causes.len ? causes.at : "");
    if (wasm && wasmtime_trap_code(wasm, &code) && code < sizeof codes / sizeof *codes) {
        kind = codes[code].kind;
        snprintf(text, sizeof text, "%s", codes[code].text);
        if (code == WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS)
            describe_fault(text, sizeof text, causes);
    }
    return trap_with_kind(kind, text);
}

trap *trap_take(trap *host, wasm_trap_t *wasm, wasmtime_error_t *error)
{
    if (!wasm && !error) {
        trap_free(host);
        return NULL;
    }
    wasm_byte_vec_t report;
    if (wasm)
        wasm_trap_message(wasm, &report);
    else
        wasmtime_error_message(error, &report);
    size_t len = report.size;
    while (len && !report.data[len - 1])
        len--;
    buf trace, causes;
    buf_init(&trace, TRACE_MAX);
    buf_init(&causes, TEXT_MAX);
    read_report(bytes_make(report.data, len), &trace, &causes);
    trap *t = host ? host : describe(wasm, buf_bytes(&causes));
    if (!t->trace && t != out_of_memory())
        t->trace = bytes_dup(buf_bytes(&trace));
    buf_fini(&trace);
    buf_fini(&causes);
    wasm_byte_vec_delete(&report);
    if (wasm)
        wasm_trap_delete(wasm);
    if (error)
        wasmtime_error_delete(error);
    return t;
}

weir_code error_from_wasmtime(weir_error *err, weir_code code, wasmtime_error_t *error)
{
    wasm_byte_vec_t report;
    buf trace, causes;
    buf_init(&trace, TRACE_MAX);
    buf_init(&causes, TEXT_MAX);
    wasmtime_error_message(error, &report);
    read_report(bytes_make(report.data, report.size), &trace, &causes);
    wasm_byte_vec_delete(&report);
    wasmtime_error_delete(error);
    error_set(err, code, "%.*s", (int)causes.len, causes.len ? causes.at : "");
    buf_fini(&trace);
    buf_fini(&causes);
    return code;
}
