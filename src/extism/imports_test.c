/* The 32 imports and the two of weir:host, called as a guest calls them. */
#include "extism/testing.h"
#include "extism/kernel_internal.h"

#define PLAIN "(module (memory (export \"memory\") 1))"

/* One import with up to two i64 arguments; a trap fails the test. */
static uint64_t ask(guest *g, const char *name, uint64_t a, uint64_t b)
{
    value v[2] = {{.u64 = a}, {.u64 = b}};
    trap *t = test_import(g, name, v);
    if (t)
        test_fail(__FILE__, __LINE__, "%s(%llu, %llu): %s", name, (unsigned long long)a, (unsigned long long)b, trap_text(t));
    return v[0].u64;
}

static uint32_t ask32(guest *g, const char *name, uint64_t a)
{
    value v[2] = {{.u64 = a}, {.u64 = 0}};
    trap *t = test_import(g, name, v);
    CHECK(t == NULL);
    return v[0].u32;
}

static void refused(guest *g, const char *name, uint64_t a, uint64_t b, const char *part)
{
    value v[2] = {{.u64 = a}, {.u64 = b}};
    trap *t = test_import(g, name, v);
    if (!t)
        test_fail(__FILE__, __LINE__, "%s passed; wanted a trap with '%s'", name, part);
    CHECK_HAS(trap_text(t), part);
    trap_free(t);
}

static uint64_t put(guest *g, bytes text)
{
    uint64_t at = kernel_alloc(g->kernel, text.len);
    memcpy(kernel_base(g->kernel) + at, text.at, text.len);
    return at;
}

#define BLOCK(text) put(t.g, BYTES(text))

TEST(imports, all_32_have_the_types_that_guests_declare)
{
    static const struct {
        const char *name, *type;
    } rows[] = {
        {"alloc", "I(I)"},
        {"free", "(I)"},
        {"length", "I(I)"},
        {"length_unsafe", "I(I)"},
        {"load_u8", "i(I)"},
        {"load_u64", "I(I)"},
        {"store_u8", "(Ii)"},
        {"store_u64", "(II)"},
        {"input_length", "I()"},
        {"input_offset", "I()"},
        {"input_load_u8", "i(I)"},
        {"input_load_u64", "I(I)"},
        {"input_set", "(II)"},
        {"output_set", "(II)"},
        {"output_offset", "I()"},
        {"output_length", "I()"},
        {"error_set", "(I)"},
        {"error_get", "I()"},
        {"reset", "()"},
        {"memory_bytes", "I()"},
        {"config_get", "I(I)"},
        {"var_get", "I(I)"},
        {"var_set", "(II)"},
        {"http_request", "I(II)"},
        {"http_status_code", "i()"},
        {"http_headers", "I()"},
        {"log_trace", "(I)"},
        {"log_debug", "(I)"},
        {"log_info", "(I)"},
        {"log_warn", "(I)"},
        {"log_error", "(I)"},
        {"get_log_level", "i()"},
    };
    CHECK_UINT(imports_count, 32);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        binding b;
        module_extern import = {.module = BYTES("extism:host/env"), .name = bytes_of(rows[i].name), .kind = EXTERN_FUNC};
        CHECK(guest_bind(&import, &b));
        CHECK_TEXT(b.type, rows[i].type);
        CHECK(b.fn != NULL);
    }
}

TEST(imports, other_names_modules_and_kinds_are_not_offered)
{
    binding b;
    CHECK(!guest_bind(&(module_extern){.module = BYTES("extism:host/env"), .name = BYTES("load_u16"), .kind = EXTERN_FUNC}, &b));
    CHECK(!guest_bind(&(module_extern){.module = BYTES("env"), .name = BYTES("alloc"), .kind = EXTERN_FUNC}, &b));
    CHECK(!guest_bind(&(module_extern){.module = BYTES("extism:host/env"), .name = BYTES("memory"), .kind = EXTERN_MEMORY}, &b));
    CHECK(guest_bind(&(module_extern){.module = BYTES("wasi_snapshot_preview1"), .name = BYTES("fd_write"), .kind = EXTERN_FUNC}, &b));
    CHECK(!guest_bind(&(module_extern){.module = BYTES("weir:host"), .name = BYTES("alloc"), .kind = EXTERN_FUNC}, &b));
    CHECK(!guest_bind(&(module_extern){.module = BYTES("extism:host/env"), .name = BYTES("block_new"), .kind = EXTERN_FUNC}, &b));
    CHECK(guest_bind(&(module_extern){.module = BYTES("weir:host"), .name = BYTES("block_new"), .kind = EXTERN_FUNC}, &b));
    CHECK_TEXT(b.type, "I(ii)");
    CHECK(guest_bind(&(module_extern){.module = BYTES("weir:host"), .name = BYTES("block_take"), .kind = EXTERN_FUNC}, &b));
    CHECK_TEXT(b.type, "I(Iii)");
    CHECK(guest_bind(&(module_extern){.module = BYTES("weir:host"), .name = BYTES("input_read"), .kind = EXTERN_FUNC}, &b));
    CHECK_TEXT(b.type, "I(ii)");
}

TEST(imports, loads_and_stores_move_octets_and_trap_one_past_the_end_only)
{
    test_guest t = test_guest_new(PLAIN, "");
    kernel *k = t.g->kernel;
    uint64_t end = kernel_size(k);
    ask(t.g, "store_u64", 101, UINT64_C(0x0807060504030201));
    CHECK_UINT(ask(t.g, "load_u64", 101, 0), UINT64_C(0x0807060504030201));
    CHECK_UINT(ask32(t.g, "load_u8", 103), 3);
    value v[2] = {{.u64 = 103}, {.u32 = 0x1FF}};
    CHECK(test_import(t.g, "store_u8", v) == NULL);
    CHECK_UINT(ask32(t.g, "load_u8", 103), 0xFF);
    CHECK_UINT(ask(t.g, "load_u64", 0, 0), 0);
    CHECK_UINT(ask(t.g, "load_u64", end - 6, 0), 0);
    CHECK_UINT(ask32(t.g, "load_u8", end + 1), 0);
    ask(t.g, "store_u64", end + 100, 1);
    refused(t.g, "load_u64", end - 7, 0, "out of bounds memory access");
    refused(t.g, "store_u64", end - 7, 0, "out of bounds memory access");
    refused(t.g, "load_u8", end, 0, "out of bounds memory access");
    refused(t.g, "store_u8", end, 0, "out of bounds memory access");
    test_guest_free(&t);
}

TEST(imports, the_input_reads_as_zero_outside_itself)
{
    test_guest t = test_guest_new(PLAIN, "");
    uint64_t at = BLOCK("0123456789");
    BLOCK("behind it");
    ask(t.g, "input_set", at, 10);
    CHECK_UINT(ask(t.g, "input_length", 0, 0), 10);
    CHECK_UINT(ask(t.g, "input_offset", 0, 0), at);
    CHECK_UINT(ask(t.g, "length_unsafe", at, 0), 10);
    CHECK_UINT(ask32(t.g, "input_load_u8", 9), '9');
    CHECK_UINT(ask32(t.g, "input_load_u8", 10), 0);
    CHECK_UINT(ask(t.g, "input_load_u64", 2, 0), UINT64_C(0x3938373635343332));
    CHECK_UINT(ask(t.g, "input_load_u64", 3, 0), 0);
    CHECK_UINT(ask(t.g, "input_load_u64", UINT64_MAX, 0), 0);
    CHECK_UINT(ask(t.g, "input_load_u64", UINT64_MAX - 7, 0), 0);
    ask(t.g, "input_set", at, UINT64_MAX - 4); /* accepted by its end points: reading stays inside all the same */
    CHECK_UINT(ask(t.g, "input_load_u64", kernel_size(t.g->kernel), 0), 0);
    CHECK_UINT(ask32(t.g, "input_load_u8", UINT64_C(1) << 40), 0);
    test_guest_free(&t);
}

#define MEMORY 65536 /* octets of PLAIN's linear memory */

static uint64_t take(guest *g, uint64_t block, uint32_t to, uint32_t room)
{
    value v[3] = {{.u64 = block}, {.u32 = to}, {.u32 = room}};
    trap *t = test_import(g, "block_take", v);
    if (t)
        test_fail(__FILE__, __LINE__, "block_take(%llu, %u, %u): %s", (unsigned long long)block, to, room, trap_text(t));
    return v[0].u64;
}

static void unreachable(guest *g, const char *name, uint64_t block, uint32_t at, uint32_t len)
{
    value v[3] = {{.u64 = block}, {.u32 = at}, {.u32 = len}};
    uint64_t blocks = kernel_block_count(g->kernel);
    trap *t = test_import(g, name, strcmp(name, "block_take") == 0 ? v : v + 1);
    if (!t)
        test_fail(__FILE__, __LINE__, "%s passed %u octets at %u", name, len, at);
    CHECK_HAS(trap_text(t), "out of bounds memory access");
    trap_free(t);
    CHECK_UINT(kernel_block_count(g->kernel), blocks);
}

static uint64_t new_block(guest *g, uint32_t from, uint32_t len)
{
    value v[2] = {{.u32 = from}, {.u32 = len}};
    CHECK(test_import(g, "block_new", v) == NULL);
    return v[0].u64;
}

TEST(imports, whole_blocks_move_both_ways)
{
    test_guest t = test_guest_new(PLAIN, "");
    char *memory = instance_at(t.g->inst, 0, MEMORY);
    memcpy(memory + 3, "0123456789", 10);
    uint64_t at = new_block(t.g, 3, 10);
    CHECK_BYTES(kernel_block(t.g->kernel, at), BYTES("0123456789"));
    CHECK_UINT(take(t.g, at, 100, 10), 10);
    CHECK_MEM(memory + 100, 11, "0123456789\0", 11);
    CHECK_UINT(kernel_block_count(t.g->kernel), 0);
    CHECK_UINT(new_block(t.g, 3, 0), 0);
    CHECK_UINT(new_block(t.g, MEMORY, 0), 0);

    memcpy(memory + MEMORY - 3, "end", 3);
    at = new_block(t.g, MEMORY - 3, 3);
    CHECK_UINT(take(t.g, at, MEMORY - 4, 4), 3);
    CHECK_MEM(memory + MEMORY - 4, 4, "endd", 4);
    test_guest_free(&t);
}

TEST(imports, a_block_is_taken_whole_or_not_at_all)
{
    test_guest t = test_guest_new(PLAIN, "");
    char *memory = instance_at(t.g->inst, 0, MEMORY);
    uint64_t at = BLOCK("0123456789");
    CHECK_UINT(take(t.g, at, 100, 9), 10);
    CHECK_UINT(take(t.g, at, 0, 0), 10);
    CHECK_INT(memory[100], 0);
    CHECK_UINT(ask(t.g, "length", at, 0), 10);

    CHECK_UINT(take(t.g, 0, 100, 10), 0);
    CHECK_UINT(take(t.g, at + 1, 100, 10), 0);
    CHECK_UINT(take(t.g, at - 1, 100, 10), 0);
    CHECK_UINT(take(t.g, kernel_size(t.g->kernel), 100, 10), 0);
    CHECK_UINT(take(t.g, UINT64_MAX, 100, 10), 0);
    CHECK_INT(memory[100], 0);
    CHECK_UINT(take(t.g, at, 100, 10), 10);
    CHECK_UINT(take(t.g, at, 200, 10), 0); /* taken: it is free now */
    CHECK_INT(memory[200], 0);
    test_guest_free(&t);
}

static uint64_t read_input(guest *g, uint32_t to, uint32_t room)
{
    value v[2] = {{.u32 = to}, {.u32 = room}};
    CHECK(test_import(g, "input_read", v) == NULL);
    return v[0].u64;
}

TEST(imports, the_input_is_read_whole_or_not_at_all_and_again)
{
    test_guest t = test_guest_new(PLAIN, "");
    char *memory = instance_at(t.g->inst, 0, MEMORY);
    CHECK_UINT(read_input(t.g, 100, 10), 0);
    uint64_t at = BLOCK("0123456789");
    kernel_input_set(t.g->kernel, at, 10);
    CHECK_UINT(read_input(t.g, 100, 9), 10);
    CHECK_INT(memory[100], 0);
    CHECK_UINT(read_input(t.g, MEMORY - 10, 10), 10);
    CHECK_MEM(memory + MEMORY - 10, 10, "0123456789", 10);
    CHECK_UINT(read_input(t.g, 100, 50), 10);
    CHECK_MEM(memory + 100, 11, "0123456789\0", 11);
    test_guest_free(&t);
}

TEST(imports, octets_outside_of_linear_memory_trap)
{
    test_guest t = test_guest_new(PLAIN, "");
    uint64_t at = BLOCK("0123456789");
    static const uint32_t ranges[][2] = {{MEMORY - 9, 10}, {MEMORY, 1}, {MEMORY + 1, 0}, {0, MEMORY + 1}, {UINT32_MAX, 1}, {1, UINT32_MAX}, {UINT32_MAX, UINT32_MAX}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        unreachable(t.g, "block_new", 0, ranges[i][0], ranges[i][1]);
        unreachable(t.g, "input_read", 0, ranges[i][0], ranges[i][1]);
        unreachable(t.g, "block_take", at, ranges[i][0], ranges[i][1]);
        unreachable(t.g, "block_take", 0, ranges[i][0], ranges[i][1]);
    }
    CHECK_BYTES(kernel_block(t.g->kernel, at), BYTES("0123456789"));
    test_guest_free(&t);
    t = test_guest_new("(module)", ""); /* which exports none */
    unreachable(t.g, "block_new", 0, 0, 1);
    test_guest_free(&t);
}

TEST(imports, a_whole_block_counts_against_the_ceiling_like_any_other)
{
    test_guest t = test_guest_new("(module (memory (export \"memory\") 1040))", "");
    value v[2] = {{.u32 = 0}, {.u32 = 65 << 20}};
    trap *full = test_import(t.g, "block_new", v);
    CHECK(full != NULL);
    CHECK_HAS(trap_text(full), "no room for 68157440 octets in exchange memory");
    trap_free(full);
    test_guest_free(&t);
}

TEST(imports, a_huge_alloc_answers_zero_and_a_full_memory_stops_the_guest)
{
    test_guest t = test_guest_new(PLAIN, "");
    CHECK_UINT(ask(t.g, "alloc", 0, 0), 0);
    CHECK_UINT(ask(t.g, "alloc", UINT64_MAX, 0), 0);
    CHECK_UINT(ask(t.g, "alloc", UINT64_C(1) << 48, 0), 0);
    CHECK_UINT(ask(t.g, "alloc", 100, 0), 77);
    refused(t.g, "alloc", 65 << 20, 0, "no room for 68157440 octets in exchange memory");
    CHECK_UINT(ask(t.g, "memory_bytes", 0, 0), 65472);
    test_guest_free(&t);
}

TEST(imports, output_and_error_are_recorded_and_reset_forgets_them)
{
    test_guest t = test_guest_new(PLAIN, "");
    uint64_t at = BLOCK("text");
    ask(t.g, "output_set", at, 4);
    ask(t.g, "error_set", at, 0);
    CHECK_UINT(ask(t.g, "output_offset", 0, 0), at);
    CHECK_UINT(ask(t.g, "output_length", 0, 0), 4);
    CHECK_UINT(ask(t.g, "error_get", 0, 0), at);
    ask(t.g, "reset", 0, 0);
    CHECK_UINT(ask(t.g, "output_length", 0, 0), 0);
    CHECK_UINT(ask(t.g, "error_get", 0, 0), 0);
    CHECK_UINT(ask(t.g, "length", at, 0), 0);
    test_guest_free(&t);
}

TEST(imports, config_answers_a_block_and_takes_the_key)
{
    test_guest t = test_guest_new(PLAIN, "\"config\":{\"key\":\"value\",\"none\":\"\",\"\":\"nameless\"}");
    uint64_t key = BLOCK("key"), value_at = ask(t.g, "config_get", key, 0);
    CHECK(value_at != 0 && value_at != key);
    CHECK_BYTES(kernel_block(t.g->kernel, value_at), BYTES("value"));
    CHECK_UINT(ask(t.g, "length", key, 0), 0);
    ask(t.g, "free", key, 0);
    CHECK_UINT(ask(t.g, "length", value_at, 0), 5);
    CHECK_UINT(ask(t.g, "config_get", BLOCK("none"), 0), 0);
    CHECK_UINT(ask(t.g, "config_get", BLOCK("absent"), 0), 0);
    CHECK_BYTES(kernel_block(t.g->kernel, ask(t.g, "config_get", 0, 0)), BYTES("nameless"));
    refused(t.g, "config_get", 12345, 0, "invalid handle offset for config key: 12345");
    refused(t.g, "config_get", BLOCK("\xff"), 0, "not UTF-8");
    test_guest_free(&t);
}

TEST(imports, an_answer_never_has_the_address_of_its_key)
{
    test_guest t = test_guest_new(PLAIN, "\"config\":{\"key\":\"val\"}");
    kernel_alloc(t.g->kernel, 9000); /* blocks come back from here on */
    for (int i = 0; i < 100; i++) {
        uint64_t key = BLOCK("key"), answer = ask(t.g, "config_get", key, 0);
        ask(t.g, "free", key, 0); /* as kits do */
        CHECK_BYTES(kernel_block(t.g->kernel, answer), BYTES("val"));
        ask(t.g, "free", answer, 0);
    }
    test_guest_free(&t);
}

TEST(imports, variables_are_kept_replaced_and_deleted)
{
    test_guest t = test_guest_new(PLAIN, "");
    CHECK_UINT(ask(t.g, "var_get", BLOCK("a"), 0), 0);
    ask(t.g, "var_set", BLOCK("a"), BLOCK("1"));
    CHECK_BYTES(kernel_block(t.g->kernel, ask(t.g, "var_get", BLOCK("a"), 0)), BYTES("1"));
    kernel_reset(t.g->kernel);
    CHECK_BYTES(kernel_block(t.g->kernel, ask(t.g, "var_get", BLOCK("a"), 0)), BYTES("1"));
    ask(t.g, "var_set", BLOCK("a"), 0);
    CHECK_UINT(ask(t.g, "var_get", BLOCK("a"), 0), 0);
    ask(t.g, "var_set", 0, 0);
    uint64_t both = BLOCK("same");
    ask(t.g, "var_set", both, both);
    ask(t.g, "free", both, 0);
    CHECK_BYTES(kernel_block(t.g->kernel, ask(t.g, "var_get", BLOCK("same"), 0)), BYTES("same"));
    refused(t.g, "var_get", 5, 0, "invalid handle offset for var key: 5");
    refused(t.g, "var_set", 5, 0, "invalid handle offset for var key: 5");
    refused(t.g, "var_set", BLOCK("a"), 5, "invalid handle offset for var value: 5");
    test_guest_free(&t);
}

TEST(imports, variables_have_a_limit_and_can_be_off)
{
    test_guest t = test_guest_new(PLAIN, "\"memory\":{\"max_var_bytes\":60}");
    ask(t.g, "var_set", BLOCK("a"), BLOCK("0123456789A"));
    refused(t.g, "var_set", BLOCK("b"), BLOCK("1"), "Variable store is full");
    test_guest_free(&t);
    t = test_guest_new(PLAIN, "\"memory\":{\"max_var_bytes\":0}");
    refused(t.g, "var_set", BLOCK("b"), 0, "Vars are disabled by this host");
    CHECK_UINT(ask(t.g, "var_get", BLOCK("b"), 0), 0);
    test_guest_free(&t);
}

TEST(imports, log_lines_go_out_by_level_and_free_their_block)
{
    test_guest t = test_guest_new(PLAIN, "");
    t.g->log_level = LOG_WARN;
    CHECK_UINT(ask32(t.g, "get_log_level", 0), 3);
    uint64_t quiet = BLOCK("quiet"), loud = BLOCK("loud");
    ask(t.g, "log_info", quiet, 0);
    ask(t.g, "log_error", loud, 0);
    ask(t.g, "log_warn", BLOCK("\xff"), 0);
    ask(t.g, "log_trace", 99999, 0); /* not looked at */
    CHECK_TEXT(test_log_text(), "error log: loud\nerror log: a log message was no UTF-8 and is left out\n");
    CHECK_UINT(ask(t.g, "length", quiet, 0) + ask(t.g, "length", loud, 0), 0);
    refused(t.g, "log_warn", 99999, 0, "invalid handle offset for log message: 99999");
    t.g->log_level = LOG_OFF;
    CHECK_UINT(ask32(t.g, "get_log_level", 0), 2147483647);
    test_guest_free(&t);
}

/* ---- http_request ---- */

static char http_seen[1000];
static weir_code http_fails;
static size_t http_body_len;

static bool fake_http(guest *g, guest_http *r)
{
    (void)g;
    buf seen;
    buf_init(&seen, sizeof http_seen - 1);
    buf_add_fmt(&seen, BYTES_FMT " " BYTES_FMT " ", BYTES_ARG(r->method), BYTES_ARG(r->url));
    for (size_t i = 0; i < r->header_count; i++)
        buf_add_fmt(&seen, "[" BYTES_FMT "=" BYTES_FMT "]", BYTES_ARG(r->headers[i].name), BYTES_ARG(r->headers[i].value));
    buf_add_bytes(&seen, r->body);
    memcpy(http_seen, seen.at, seen.len);
    http_seen[seen.len] = '\0';
    buf_fini(&seen);
    if (http_fails) {
        error_set(&r->error, http_fails, "connection failed");
        return true;
    }
    r->status = 404;
    buf_add_text(r->out_headers, "{\"a\":\"b\"}");
    for (size_t i = 0; i < http_body_len; i++)
        buf_add_char(r->out_body, 'x');
    return true;
}

static test_guest http_guest(const char *members)
{
    test_ops.http = fake_http;
    http_fails = WEIR_OK;
    http_body_len = 5;
    http_seen[0] = '\0';
    return test_guest_new(PLAIN, members);
}

TEST(imports, http_request_sends_and_answers)
{
    test_guest t = http_guest("\"allowed_hosts\":[\"*.example.com\"]");
    CHECK_UINT(ask32(t.g, "http_status_code", 0), 0);
    uint64_t request = BLOCK("{\"url\":\"https://API.example.com:8443/x?y=1\",\"method\":\"post\",\"headers\":{\"X-A\":\"1\",\"b\":\"\\u0032\"}}"), body = BLOCK("BODY");
    uint64_t answer = ask(t.g, "http_request", request, body);
    CHECK_TEXT(http_seen, "POST https://API.example.com:8443/x?y=1 [X-A=1][b=2]BODY");
    CHECK_BYTES(kernel_block(t.g->kernel, answer), BYTES("xxxxx"));
    CHECK_UINT(ask32(t.g, "http_status_code", 0), 404);
    CHECK_UINT(ask(t.g, "length", request, 0) + ask(t.g, "length", body, 0), 0);
    CHECK_UINT(ask(t.g, "http_headers", 0, 0), 0);
    t.g->http_headers_on = true;
    CHECK_BYTES(kernel_block(t.g->kernel, ask(t.g, "http_headers", 0, 0)), BYTES("{\"a\":\"b\"}"));
    http_body_len = 0;
    CHECK_UINT(ask(t.g, "http_request", BLOCK("{\"url\":\"http://a.example.com\",\"method\":null}"), 0), 0);
    CHECK_TEXT(http_seen, "GET http://a.example.com ");
    test_guest_free(&t);
}

TEST(imports, http_headers_are_an_empty_object_before_any_request)
{
    test_guest t = http_guest("");
    t.g->http_headers_on = true;
    CHECK_BYTES(kernel_block(t.g->kernel, ask(t.g, "http_headers", 0, 0)), BYTES("{}"));
    test_guest_free(&t);
}

TEST(imports, http_request_refuses_what_is_not_allowed_or_makes_no_sense)
{
    static const struct {
        const char *request, *part;
    } rows[] = {
        {"{\"url\":\"https://evil.example/\"}", "HTTP request to https://evil.example/ is not allowed"},
        {"{\"url\":\"https://good.example@evil.example/\"}", "is not allowed"},
        {"{\"url\":\"https://evil.example#@good.example/\"}", "is not allowed"},
        {"{\"url\":\"https://evil.example\\\\@good.example/\"}", "Invalid URL"},
        {"{\"url\":\"ftp://good.example/\"}", "Invalid URL: 'ftp://good.example/': it does not begin with http"},
        {"{\"url\":\"https:///x\"}", "it has no host"},
        {"{\"url\":\"https://[::1/x\"}", "brackets"},
        {"{\"url\":\"https://good.example/a b\"}", "must be escaped"},
        {"{\"url\":\"https://g\xc3\xb6"
         "od.example/\"}",
         "punycode"},
        {"{\"url\":5}", "\"url\" is missing or no string"},
        {"{}", "\"url\" is missing"},
        {"[]", "not a JSON object"},
        {"{\"url\":\"https://good.example/\",\"x\":1}", "unknown member \"x\""},
        {"{\"url\":\"https://good.example/\",\"method\":\"BREW\"}", "unknown method 'BREW'"},
        {"{\"url\":\"https://good.example/\",\"method\":1}", "\"method\" is not a string"},
        {"{\"url\":\"https://good.example/\",\"headers\":[]}", "\"headers\" is not an object"},
        {"{\"url\":\"https://good.example/\",\"headers\":{\"a\":1}}", "header \"a\" is not a string"},
        {"{\"url\":\"https://good.example/\",\"headers\":{\"a\":\"x\\r\\ny: z\"}}", "line break"},
        {"not json", "http_request"},
    };
    test_guest t = http_guest("\"allowed_hosts\":[\"good.example\"]");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refused(t.g, "http_request", put(t.g, bytes_of(rows[i].request)), 0, rows[i].part);
    CHECK_TEXT(http_seen, "");
    refused(t.g, "http_request", 7, 0, "invalid handle offset for http request: 7");
    refused(t.g, "http_request", BLOCK("{\"url\":\"https://good.example/\"}"), 7, "invalid handle offset for http request body: 7");
    refused(t.g, "http_request", BLOCK("{\"url\":\"https://good.example/\",\"method\":\"HEAD\"}"), BLOCK("x"), "HEAD with a body");
    test_guest_free(&t);
}

TEST(imports, http_request_without_a_list_of_hosts_or_without_http_is_refused)
{
    test_guest t = http_guest("");
    refused(t.g, "http_request", BLOCK("{\"url\":\"https://good.example/\"}"), 0, "HTTP request to https://good.example/ is not allowed");
    test_guest_free(&t);
    t = http_guest("\"allowed_hosts\":[\"*\"]");
    test_ops.http = NULL;
    refused(t.g, "http_request", BLOCK("{\"url\":\"https://good.example/\"}"), 0, "http_request is not enabled, request to https://good.example/ is not allowed");
    test_guest_free(&t);
}

TEST(imports, http_request_says_why_no_answer_came)
{
    test_guest t = http_guest("\"allowed_hosts\":[\"*\"],\"memory\":{\"max_http_response_bytes\":5}");
    CHECK(ask(t.g, "http_request", BLOCK("{\"url\":\"http://a\"}"), 0) != 0);
    http_body_len = 6;
    refused(t.g, "http_request", BLOCK("{\"url\":\"http://a\"}"), 0, "HTTP response exceeds the configured maximum number of bytes: 5");
    CHECK_UINT(ask32(t.g, "http_status_code", 0), 0);
    http_fails = WEIR_NETWORK;
    refused(t.g, "http_request", BLOCK("{\"url\":\"http://a\"}"), 0, "connection failed");
    test_guest_free(&t);
}
