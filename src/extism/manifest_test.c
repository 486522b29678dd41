/* Manifests: the forms, the strictness, and what each error says. */
#include "extism/manifest.h"

#include <unistd.h>

#include "base/file.h"
#include "extism/glob.h"
#include "tests/lib/test.h"

#define ERR weir_error err = WEIR_ERROR_INIT
#define WASM "\"wasm\":[{\"path\":\"a.wasm\"}]"
#define EMPTY_WASM "\0asm\1\0\0\0"

static manifest *read_ok(const char *text)
{
    ERR;
    manifest *m = NULL;
    CHECK_OK(manifest_read(&m, bytes_of(text), &err));
    return m;
}

static void read_bad(const char *text, const char *part)
{
    ERR;
    manifest *m = NULL;
    CHECK_INT(manifest_read(&m, bytes_of(text), &err), WEIR_INVALID);
    CHECK_INT(err.code, WEIR_INVALID);
    CHECK_HAS(err.text, part);
    CHECK(m == NULL);
}

TEST(manifest, a_bare_module_gets_the_defaults)
{
    ERR;
    manifest *m;
    CHECK_OK(manifest_read(&m, BYTES(EMPTY_WASM), &err));
    CHECK_UINT(m->module_count, 1);
    CHECK_BYTES(buf_bytes(&m->modules[0].data), BYTES(EMPTY_WASM));
    CHECK_UINT(m->max_pages, MANIFEST_NO_LIMIT);
    CHECK_UINT(m->timeout_ms, MANIFEST_NO_LIMIT);
    CHECK_UINT(m->max_http_response_bytes, 52428800);
    CHECK_UINT(m->max_var_bytes, 1048576);
    CHECK(!manifest_allows_host(m, BYTES("example.com")));
    CHECK_OK(manifest_load(m, 0, &err));
    manifest_free(m);
}

TEST(manifest, module_text_and_what_is_no_text_go_to_the_engine)
{
    static const char *const texts[] = {"(module)", "( module)", "  ;; comment\n(module)", "\n(; x ;) (module)", "\xff\xfe not text"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        manifest *m = read_ok(texts[i]);
        CHECK_BYTES(buf_bytes(&m->modules[0].data), bytes_of(texts[i]));
        manifest_free(m);
    }
}

TEST(manifest, every_key_is_read)
{
    manifest *m = read_ok("{\"wasm\":[{\"path\":\"a.wasm\",\"name\":\"x\",\"hash\":null}],"
                          "\"memory\":{\"max_pages\":17,\"max_http_response_bytes\":1,\"max_var_bytes\":0},"
                          "\"config\":{\"k\":\"v\",\"k\":\"w\",\"empty\":\"\"},\"allowed_hosts\":[\"*.example.com\"],"
                          "\"allowed_paths\":{\"ro:/tmp\":\"/data\",\"/var\":\"/v\"},\"timeout_ms\":0}");
    CHECK_TEXT(m->modules[0].path, "a.wasm");
    CHECK_TEXT(m->modules[0].name, "x");
    CHECK_UINT(m->max_pages, 17);
    CHECK_UINT(m->max_http_response_bytes, 1);
    CHECK_UINT(m->max_var_bytes, 0);
    CHECK_UINT(m->timeout_ms, 0);
    CHECK_TEXT(manifest_config_get(m, BYTES("k")), "w");
    CHECK_TEXT(manifest_config_get(m, BYTES("empty")), "");
    CHECK(manifest_config_get(m, BYTES("none")) == NULL);
    CHECK_UINT(m->allowed_path_count, 2);
    CHECK(m->allowed_paths[0].read_only && !m->allowed_paths[1].read_only);
    CHECK_TEXT(m->allowed_paths[0].host, "/tmp");
    CHECK_TEXT(m->allowed_paths[0].guest, "/data");
    CHECK(manifest_allows_host(m, BYTES("a.b.example.com")));
    manifest_free(m);
}

TEST(manifest, null_stands_for_the_default_where_upstream_takes_it)
{
    manifest *m = read_ok("{" WASM ",\"memory\":{\"max_pages\":null,\"max_http_response_bytes\":null,\"max_var_bytes\":null},"
                          "\"allowed_hosts\":null,\"allowed_paths\":null,\"timeout_ms\":null}");
    CHECK_UINT(m->max_pages, MANIFEST_NO_LIMIT);
    CHECK_UINT(m->max_var_bytes, 1048576);
    manifest_free(m);
}

TEST(manifest, toml_says_the_same)
{
    manifest *m = read_ok("timeout_ms = 5\nallowed_hosts = ['*']\n[[wasm]]\npath = 'b.wasm'\n[config]\nk = 'v'\n[memory]\nmax_pages = 3\n");
    CHECK_TEXT(m->modules[0].path, "b.wasm");
    CHECK_TEXT(manifest_config_get(m, BYTES("k")), "v");
    CHECK_UINT(m->timeout_ms, 5);
    CHECK_UINT(m->max_pages, 3);
    manifest_free(m);
}

TEST(manifest, errors_name_the_key_and_what_would_be_right)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"", "No wasm files specified in Extism manifest"},
        {"{}", "No wasm files specified in Extism manifest"},
        {"{\"wasm\":[]}", "No wasm files specified in Extism manifest"},
        {"{\"wasm\":null}", "\"wasm\" is null; it must be a list of modules"},
        {"{\"wasm\":[5]}", "wasm entry 1: is 5; it must be an object"},
        {"{\"wasm\":[{}]}", "wasm entry 1: has none of path, data and url"},
        {"{\"wasm\":[{\"path\":\"a\",\"url\":\"b\"}]}", "wasm entry 1: has several of path, data and url"},
        {"{\"wasm\":[{\"path\":7}]}", "\"path\" is 7; it must be a string"},
        {"{\"wasm\":[{\"path\":\"a\",\"data\":\"AA==\"}]}", "has several"},
        {"{\"wasm\":[{\"path\":\"a\",\"headers\":{}}]}", "belong to \"url\""},
        {"{\"wasm\":[{\"url\":\"a\",\"headers\":{\"a\":1}}]}", "\"headers\" is 1; it must be an object of strings"},
        {"{\"wasm\":[{\"path\":\"a\",\"nme\":\"b\"}]}", "wasm entry 1: unknown key \"nme\"; there are path, data, url, name, hash"},
        {"{\"wasm\":[{\"data\":\"!\"}]}", "\"data\""},
        {"{\"wasm\":[{\"data\":{\"ptr\":1,\"len\":2}}]}", "base64"},
        {"{\"wasm\":[{\"data\":\"\"}]}", "\"data\" is empty"},
        {"{" WASM ",\"memory\":null}", "\"memory\" is null; it must be an object"},
        {"{" WASM ",\"memory\":{\"max_page\":1}}", "memory: unknown key \"max_page\""},
        {"{" WASM ",\"memory\":{\"max_pages\":-1}}", "memory: \"max_pages\" is -1; it must be a whole number from 0 to 4294967295"},
        {"{" WASM ",\"memory\":{\"max_pages\":4294967296}}", "4294967296"},
        {"{" WASM ",\"memory\":{\"max_var_bytes\":\"1\"}}", "\"max_var_bytes\" is \"1\""},
        {"{" WASM ",\"config\":[]}", "\"config\" is []"},
        {"{" WASM ",\"config\":{\"a\":1}}", "config: \"a\" is 1; it must be a string"},
        {"{" WASM ",\"config\":{\"a\":null}}", "config: \"a\" is null"},
        {"{" WASM ",\"config\":{\"a\":\"x\\u0000y\"}}", "U+0000"},
        {"{" WASM ",\"allowed_hosts\":\"*\"}", "\"allowed_hosts\" is \"*\"; it must be a list"},
        {"{" WASM ",\"allowed_hosts\":[null]}", "\"allowed_hosts\" is null"},
        {"{" WASM ",\"allowed_paths\":{\"a\":1}}", "allowed_paths"},
        {"{" WASM ",\"allowed_paths\":{\"ro:\":\"/x\"}}", "a path is empty"},
        {"{" WASM ",\"allowed_paths\":[]}", "\"allowed_paths\" is []"},
        {"{" WASM ",\"timeout_ms\":1.5}", "\"timeout_ms\" is 1.5"},
        {"{" WASM ",\"timeout_ms\":1,\"timeout_ms\":2}", "the key \"timeout_ms\" is there twice"},
        {"{" WASM ",\"allowed_host\":[]}", "unknown key \"allowed_host\"; there are wasm, memory, config, allowed_hosts, allowed_paths, timeout_ms"},
        {"{" WASM ",}", "manifest: "},
        {"{\"wasm\":[{\"path\":\"a\"},{\"path\":\"b\"},{\"path\":\"c\",\"name\":\"main\"}]}", "Duplicate module name found in Extism manifest: main"},
        {"{\"wasm\":[{\"path\":\"a\",\"name\":\"extism:host/env\"},{\"path\":\"b\"}]}", "Duplicate module name found in Extism manifest: extism:host/env"},
        {"wasm = 1\nwasm = 2\n", "TOML"},
        {"hello world", "TOML"},
        {"[1]\n", "manifest"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        read_bad(rows[i].text, rows[i].part);
}

TEST(manifest, main_is_the_one_called_main_or_nameless_or_the_last)
{
    static const struct {
        const char *text;
        size_t main;
    } rows[] = {
        {"{\"wasm\":[{\"path\":\"a\",\"name\":\"x\"}]}", 0},
        {"{\"wasm\":[{\"path\":\"a\"},{\"path\":\"b\",\"name\":\"x\"}]}", 0},
        {"{\"wasm\":[{\"path\":\"a\",\"name\":\"x\"},{\"path\":\"b\",\"name\":\"main\"},{\"path\":\"c\",\"name\":\"y\"}]}", 1},
        {"{\"wasm\":[{\"path\":\"a\",\"name\":\"x\"},{\"path\":\"b\",\"name\":\"y\"}]}", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        manifest *m = read_ok(rows[i].text);
        CHECK_UINT(manifest_main(m), rows[i].main);
        manifest_free(m);
    }
}

TEST(manifest, the_hash_is_of_the_octets_in_either_case)
{
    ERR;
    manifest *m = read_ok("{\"wasm\":[{\"data\":\"AGFzbQEAAAA=\",\"hash\":\"93A44BBB96C751218E4C00D479E4C14358122A389ACCA16205B1E4D0DC5F9476\"}]}");
    CHECK_OK(manifest_load(m, 0, &err));
    CHECK_BYTES(buf_bytes(&m->modules[0].data), BYTES(EMPTY_WASM));
    manifest_free(m);
    m = read_ok("{\"wasm\":[{\"data\":\"AGFzbQEAAAA=\",\"hash\":\"00\"}]}");
    CHECK_INT(manifest_load(m, 0, &err), WEIR_INVALID);
    CHECK_TEXT(err.text, "Hash mismatch, found 93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476 but expected 00");
    manifest_free(m);
}

TEST(manifest, a_url_is_for_whoever_has_a_network)
{
    ERR;
    manifest *m = read_ok("{\"wasm\":[{\"url\":\"https://example.com/a.wasm\",\"method\":\"POST\",\"headers\":{\"a\":\"b\"}}]}");
    CHECK_INT(manifest_load(m, 0, &err), WEIR_UNSUPPORTED);
    CHECK_TEXT(m->modules[0].method, "POST");
    CHECK_TEXT(m->modules[0].headers, "{\"a\":\"b\"}");
    manifest_free(m);
}

TEST(manifest, paths_in_a_file_are_relative_to_it)
{
    ERR;
    char folder[] = "/tmp/weir-manifest-XXXXXX", path[64], module[64];
    manifest *m;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/m.json", folder);
    snprintf(module, sizeof module, "%s/a.wasm", folder);
    CHECK_OK(file_replace(path, BYTES("{" WASM "}"), &err));
    CHECK_OK(manifest_open(&m, path, &err));
    CHECK_TEXT(m->modules[0].path, module);
    CHECK_INT(manifest_load(m, 0, &err), WEIR_NOT_FOUND);
    CHECK_HAS(err.text, module);
    CHECK_OK(file_replace(module, BYTES(EMPTY_WASM), &err));
    CHECK_OK(manifest_load(m, 0, &err));
    CHECK_BYTES(buf_bytes(&m->modules[0].data), BYTES(EMPTY_WASM));
    manifest_free(m);
    m = NULL;
    CHECK_OK(file_replace(path, BYTES("{\"wasm\":3}"), &err));
    CHECK_INT(manifest_open(&m, path, &err), WEIR_INVALID);
    CHECK_HAS(err.text, path);
    unlink(path);
    unlink(module);
    CHECK_INT(manifest_open(&m, path, &err), WEIR_NOT_FOUND);
    rmdir(folder);
}

TEST(manifest, config_values_can_be_set_and_deleted)
{
    ERR;
    manifest *m = read_ok("{" WASM "}");
    CHECK_OK(manifest_config_set(m, "a", "1", &err));
    CHECK_OK(manifest_config_set(m, "a", "2", &err));
    CHECK_TEXT(manifest_config_get(m, BYTES("a")), "2");
    CHECK_OK(manifest_config_set(m, "a", NULL, &err));
    CHECK_OK(manifest_config_set(m, "a", NULL, &err));
    CHECK(manifest_config_get(m, BYTES("a")) == NULL);
    manifest_free(m);
}

TEST(manifest, host_patterns_match_as_upstreams_do)
{
    static const struct {
        const char *pattern, *host;
        bool match;
    } rows[] = {
        {"*", "anything.example", true},
        {"*", "", true},
        {"**", "a.b", true},
        {"", "a", false},
        {"example.com", "example.com", true},
        {"example.com", "Example.com", false},
        {"*.example.com", "a.example.com", true},
        {"*.example.com", "a.b.example.com", true},
        {"*.example.com", "example.com", false},
        {"*.example.com", "a.example.com.evil", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"a?c", "a\xc3\xa9"
                "c",
         true},
        {"[abc]x", "bx", true},
        {"[abc]x", "dx", false},
        {"[!abc]x", "dx", true},
        {"[!abc]x", "ax", false},
        {"[a-f0-9]", "7", true},
        {"[a-f0-9]", "g", false},
        {"[]]", "]", true},
        {"[a", "[a", true}, /* not closed: means itself */
        {"[a", "a", false},
        {"**.com", "x.com", false},
        {"**.com", "**.com", true},
        {"a*b*c", "aXbYbZc", true},
        {"a*b*c", "aXbYbZ", false},
        {"[::1]", "[::1]", false}, /* a set, as upstream reads it */
        {"[[]::1[]]", "[::1]", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (glob_match(bytes_of(rows[i].pattern), bytes_of(rows[i].host)) != rows[i].match)
            test_fail(__FILE__, __LINE__, "pattern '%s', host '%s': wanted %d", rows[i].pattern, rows[i].host, rows[i].match);
}

TEST(manifest, a_pattern_cannot_take_for_ever)
{
    char pattern[201], host[2001];
    for (int i = 0; i < 200; i++)
        pattern[i] = i % 2 ? '*' : 'a';
    memset(host, 'a', 2000);
    host[1999] = 'b';
    pattern[200] = host[2000] = '\0';
    pattern[199] = 'c';
    CHECK(!glob_match(bytes_of(pattern), bytes_of(host)));
}

TEST(manifest, any_failed_allocation_is_an_error_and_nothing_leaks)
{
    FAULT_SWEEP(alloc) {
        ERR;
        manifest *m = NULL;
        if (manifest_read(&m, BYTES("{\"wasm\":[{\"data\":\"AGFzbQEAAAA=\",\"name\":\"x\",\"hash\":\"y\"}],\"config\":{\"k\":\"v\"},"
                                    "\"allowed_hosts\":[\"a\"],\"allowed_paths\":{\"/a\":\"/b\"}}"),
                          &err)) {
            CHECK_INT(err.code, WEIR_NOMEM);
            CHECK(m == NULL);
        }
        manifest_free(m);
    }
}
