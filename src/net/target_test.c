/* Targets: what a plugin may reach, and the many ways of asking for something else. */
#include "net/target.h"
#include "net/target_address.h"
#include "net/target_url.h"
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static weir_error err;

static targets *make(const char *first, const char *second)
{
    targets *t = targets_new();
    CHECK(t != NULL);
    if (first)
        CHECK_OK(targets_add(t, bytes_of(first), &err));
    if (second)
        CHECK_OK(targets_add(t, bytes_of(second), &err));
    return t;
}

static weir_code ask(const char *pattern, const char *text)
{
    targets *t = make(pattern, NULL);
    weir_error e = WEIR_ERROR_INIT;
    weir_code code = targets_check(t, bytes_of(text), &e);
    CHECK_INT(e.code, code);
    targets_free(t);
    return code;
}

#define ALLOWED(pattern, url) CHECK_INT(ask(pattern, url), WEIR_OK)
#define REFUSED(pattern, url) CHECK_INT(ask(pattern, url), WEIR_REFUSED)
#define INVALID(pattern, url) CHECK_INT(ask(pattern, url), WEIR_INVALID)

TEST(target, scheme_host_and_port_must_be_the_same)
{
    ALLOWED("wss://wss.woox.io/*", "wss://wss.woox.io/ws/stream");
    ALLOWED("wss://wss.woox.io/*", "WSS://WSS.Woox.IO/ws/stream");
    ALLOWED("wss://wss.woox.io/*", "wss://wss.woox.io:443/ws");
    ALLOWED("https://a.example:8443/*", "https://a.example:8443/");
    ALLOWED("https://a.example/*", "https://a.example./x");
    ALLOWED("https://a.example/*", "https://a.example");
    REFUSED("wss://wss.woox.io/*", "ws://wss.woox.io/ws");
    REFUSED("https://a.example/*", "wss://a.example/");
    REFUSED("https://a.example/*", "http://a.example/");
    REFUSED("https://a.example/*", "https://a.example:444/");
    REFUSED("https://a.example/*", "https://b.a.example/");
    REFUSED("https://a.example/*", "https://a.example.evil.example/");
    REFUSED("https://a.example/*", "ftp://a.example/");
    REFUSED("https://a.example/*", "file:///etc/passwd");
}

TEST(target, a_path_is_equal_or_begins_with_what_stands_before_the_star)
{
    ALLOWED("https://a.example/v1/*", "https://a.example/v1/public/info");
    ALLOWED("https://a.example/v1/*", "https://a.example/v1/");
    ALLOWED("https://a.example/v1/*", "https://a.example/v1"); /* the same path without the last slash */
    REFUSED("https://a.example/v1/*", "https://a.example/v10");
    REFUSED("https://a.example/v1/*", "https://a.example/v");
    ALLOWED("https://a.example/v1*", "https://a.example/v10");
    ALLOWED("https://a.example/v1", "https://a.example/v1");
    REFUSED("https://a.example/v1", "https://a.example/v1/");
    REFUSED("https://a.example", "https://a.example/x");
    ALLOWED("https://a.example/v1", "https://a.example/v1?symbol=/../x&y=*");
    ALLOWED("https://a.example/v1", "https://a.example/v1#anything");
}

TEST(target, a_path_is_compared_in_its_plain_spelling)
{
    ALLOWED("https://a.example/v1/*", "https://a.example/%76%31/x");
    ALLOWED("https://a.example/v1/*", "https://a.example/x/../v1/./y");
    ALLOWED("https://a.example/v1/*", "https://a.example/x/%2e%2E/v1/y");
    ALLOWED("https://a.example/a%2fb", "https://a.example/a%2Fb");
    REFUSED("https://a.example/v1/*", "https://a.example/v1/../admin");
    REFUSED("https://a.example/v1/*", "https://a.example/v1/%2e%2e/admin");
    REFUSED("https://a.example/v1/*", "https://a.example/v1/..");
    REFUSED("https://a.example/*", "https://a.example/../x");
    REFUSED("https://a.example/v1/*", "https://a.example/v1/..%2fadmin");
    REFUSED("https://a.example/v1/*", "https://a.example/v1/x%2F..%2f..%2Fadmin");
    REFUSED("https://a.example/v1/*", "https://a.example/v1/..%5cadmin");
    INVALID("https://a.example/v1/*", "https://a.example/v1/..\\admin");
    REFUSED("https://a.example/a/b", "https://a.example/a%2Fb");
}

TEST(target, user_info_is_refused)
{
    REFUSED("https://a.example/*", "https://user:secret@a.example/");
    REFUSED("https://a.example/*", "https://a.example@evil.example/");
    REFUSED("https://a.example/*", "https://@a.example/");
    REFUSED("https://a.example/*", "https://a.example:443@evil.example/");
    targets *t = make("https://a.example/*", NULL);
    weir_error e = WEIR_ERROR_INIT;
    targets_check(t, BYTES("https://user:secret@a.example/"), &e);
    CHECK_HAS(e.text, "user-info");
    CHECK(strstr(e.text, "secret") == NULL);
    targets_free(t);
}

TEST(target, what_is_no_url_is_invalid)
{
    static const char *const texts[] = {"", "a.example", "https:", "https:/", "https://", "https:///x", "//a.example/", "https://a b/", "https://a.example/ x",
                                        "https://a.example:0/", "https://a.example:99999/", "https://a.example:x/", "https://[::1/", "https://[fe80::1%25eth0]/",
                                        "https://a..example/", "https://./", "https://a.example\r\nHost: b/", "https://%00/", "https://a%2fb.example/",
                                        "https://a.example\\@b/", "https://*.example/", "https://a.example/\x7F", "https://[1.2.3.4]/", "https://a.example/%", "https://a.example/%3%31"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        weir_code code = ask("https://a.example/*", texts[i]);
        if (code != WEIR_INVALID)
            test_fail(__FILE__, __LINE__, "'%s' gives %d", texts[i], code);
    }
}

static void spelled(const char *text, const char *want)
{
    url u;
    buf out;
    CHECK_OK(url_read(&u, bytes_of(text), &err));
    buf_init(&out, URL_MAX);
    url_put(&u, &out);
    buf_add_char(&out, 0);
    CHECK_TEXT(out.at, want);
    buf_fini(&out);
    url_fini(&u);
}

TEST(target, hosts_come_out_in_one_spelling)
{
    spelled("http://0x7f.1/", "http://127.0.0.1/");
    spelled("http://2130706433/", "http://127.0.0.1/");
    spelled("http://0177.0.0.1/", "http://127.0.0.1/");
    spelled("http://127.1/", "http://127.0.0.1/");
    spelled("http://127.0.0.1./", "http://127.0.0.1/");
    spelled("http://[0:0:0:0:0:0:0:1]:80/", "http://[::1]/");
    spelled("http://[::FFFF:7F00:1]/", "http://[::ffff:127.0.0.1]/");
    spelled("https://B\xC3\xBC"
            "cher.example/",
            "https://xn--bcher-kva.example/");
    spelled("http://\xEF\xBC\x91\xEF\xBC\x92\xEF\xBC\x97.0.0.1/", "http://127.0.0.1/"); /* full-width digits */
    spelled("https://ex%61mple.com/", "https://example.com/");
    spelled("wss://a.example:443/?x=1#y", "wss://a.example/?x=1");
    spelled("ws://a.example:443", "ws://a.example:443/");
}

TEST(target, a_refusal_says_what_would_be_allowed_and_hides_the_query)
{
    targets *t = make("wss://wss.woox.io/*", "https://api.woox.io/v1/*");
    weir_error e = WEIR_ERROR_INIT;
    CHECK_INT(targets_check(t, BYTES("wss://api.evil.example/x?apikey=secret"), &e), WEIR_REFUSED);
    CHECK_TEXT(e.text, "may not open 'wss://api.evil.example/x'; the plugin's targets allow 'wss://wss.woox.io/*', 'https://api.woox.io/v1/*'");
    targets_free(t);
    t = targets_new();
    CHECK_INT(targets_check(t, BYTES("wss://a.example/x"), &e), WEIR_REFUSED);
    CHECK_HAS(e.text, "allow nothing");
    for (int i = 0; i < 50; i++)
        CHECK_OK(targets_add(t, BYTES("https://a-rather-long-name.example/with/a/path/*"), &err));
    CHECK_INT(targets_check(t, BYTES("wss://a.example/x"), &e), WEIR_REFUSED);
    CHECK_HAS(e.text, " more");
    targets_free(t);
}

TEST(target, a_pattern_of_another_form_is_invalid)
{
    static const char *const texts[] = {"", "*", "https://*", "https://*/", "https://*.woox.io/*", "https://a.example*", "https://a.example:4*", "https://a.example/*/x",
                                        "https://a.example/?x=1", "a.example/*", "ftp://a.example/*", "https://u@a.example/*", "https://a.example/../*", "https://a.example/**"};
    targets *t = targets_new();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        weir_error e = WEIR_ERROR_INIT;
        if (targets_add(t, bytes_of(texts[i]), &e) != WEIR_INVALID || e.code != WEIR_INVALID)
            test_fail(__FILE__, __LINE__, "'%s' is taken", texts[i]);
    }
    CHECK_UINT(targets_count(t), 0);
    targets_free(t);
    REFUSED("https://a.example/a/.*", "https://a.example/a/b"); /* half a segment */
    ALLOWED("https://a.example/a/.*", "https://a.example/a/.well-known");
}

static bool within(const char *narrow, const char *wide)
{
    targets *n = make(narrow, NULL), *w = make(wide, NULL);
    bool yes = targets_within(n, w, &err);
    targets_free(n);
    targets_free(w);
    return yes;
}

TEST(target, narrower_lists_lie_within_wider_ones)
{
    CHECK(within("https://a.example/v1/*", "https://a.example/*"));
    CHECK(within("https://a.example/v1/*", "https://a.example/v1/*"));
    CHECK(within("https://a.example/v1", "https://a.example/v1/*"));
    CHECK(within("https://a.example/v1", "https://a.example/v1"));
    CHECK(!within("https://a.example/*", "https://a.example/v1/*"));
    CHECK(!within("https://a.example/v1*", "https://a.example/v1"));
    CHECK(!within("https://a.example/v1*", "https://a.example/v1/*"));
    CHECK(!within("https://b.example/*", "https://a.example/*"));
    CHECK_HAS(err.text, "'https://b.example/*' reaches further");
    CHECK(within(NULL, NULL));
}

static const char *verdict(const char *address)
{
    struct sockaddr_storage a;
    CHECK(address_read(&a, address));
    return address_special((struct sockaddr *)&a);
}

TEST(target, special_addresses_are_known)
{
    static const char *const special[] = {"0.0.0.0", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.0.1", "169.254.169.254", "172.16.0.1",
                                          "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
                                          "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
                                          "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:2::1", "2001:db8::1", "2002:7f00:1::",
                                          "2002:808:808::1", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "4000::1", "1::1"};
    static const char *const public[] = {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.1",
                                         "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2001:4860::8888"};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (!verdict(special[i]))
            test_fail(__FILE__, __LINE__, "%s counts as public", special[i]);
    for (size_t i = 0; i < sizeof public / sizeof *public; i++)
        if (verdict(public[i]))
            test_fail(__FILE__, __LINE__, "%s counts as %s", public[i], verdict(public[i]));
}

TEST(target, a_private_address_needs_its_host_allowed_by_name)
{
    targets *t = make("https://a.example/*", NULL);
    struct sockaddr_storage a;
    weir_error e = WEIR_ERROR_INIT;
    CHECK(address_read(&a, "10.1.2.3"));
    CHECK_INT(targets_check_address(t, BYTES("a.example"), (struct sockaddr *)&a, &e), WEIR_REFUSED);
    CHECK_HAS(e.text, "may not reach 'a.example' at 10.1.2.3 (a private network)");
    CHECK_INT(targets_check_address(NULL, BYTES("a.example"), (struct sockaddr *)&a, &e), WEIR_REFUSED);
    CHECK_OK(targets_allow_private(t, BYTES("A.example")));
    CHECK_INT(targets_check_address(t, BYTES("a.example"), (struct sockaddr *)&a, &e), WEIR_OK);
    CHECK_INT(targets_check_address(t, BYTES("b.example"), (struct sockaddr *)&a, &e), WEIR_REFUSED);
    CHECK_OK(targets_allow_private(t, BYTES("::1")));
    CHECK(address_read(&a, "[::1]"));
    CHECK_INT(targets_check_address(t, BYTES("[::1]"), (struct sockaddr *)&a, &e), WEIR_OK);
    struct sockaddr unix_socket = {.sa_family = AF_UNIX};
    CHECK_INT(targets_check_address(t, BYTES("b.example"), &unix_socket, &e), WEIR_REFUSED);
    targets_free(t);
}

TEST(target, an_overridden_origin_keeps_its_path_and_query)
{
    targets *t = make("https://api.woox.io/*", NULL);
    buf out;
    buf_init(&out, URL_MAX);
    CHECK_OK(targets_override(t, BYTES("https://api.woox.io=https://127.0.0.1:8443"), &err));
    CHECK_OK(targets_override(t, BYTES("wss://wss.woox.io/=ws://localhost:9000/"), &err));
    CHECK(targets_rewrite(t, BYTES("https://API.woox.io/v1/./x?y=1"), &out));
    CHECK_BYTES(buf_bytes(&out), BYTES("https://127.0.0.1:8443/v1/x?y=1"));
    buf_clear(&out);
    CHECK(targets_rewrite(t, BYTES("wss://wss.woox.io/ws"), &out));
    CHECK_BYTES(buf_bytes(&out), BYTES("ws://localhost:9000/ws"));
    buf_clear(&out);
    CHECK(!targets_rewrite(t, BYTES("https://api.woox.io:444/"), &out));
    CHECK(!targets_rewrite(t, BYTES("nonsense"), &out));
    CHECK_UINT(out.len, 0);
    buf_fini(&out);
    targets_free(t);
}

TEST(target, an_override_of_another_form_is_invalid)
{
    static const char *const rules[] = {"", "=", "https://a.example", "https://a.example=", "=https://a.example", "https://a.example/x=https://b.example", "https://a.example=https://b.example/x",
                                        "https://a.example=wss://b.example", "https://a.example=ftp://b", "https://u@a.example=https://b"};
    targets *t = targets_new();
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        weir_error e = WEIR_ERROR_INIT;
        if (targets_override(t, bytes_of(rules[i]), &e) != WEIR_INVALID || e.code != WEIR_INVALID)
            test_fail(__FILE__, __LINE__, "'%s' is taken", rules[i]);
        CHECK_HAS(e.text, "override '");
    }
    targets_free(t);
}

TEST(target, lists_survive_any_failed_allocation)
{
    FAULT_SWEEP(alloc) {
        weir_error e = WEIR_ERROR_INIT;
        targets *t = targets_new();
        if (!t)
            continue;
        buf out;
        buf_init(&out, URL_MAX);
        weir_code code = targets_add(t, BYTES("https://a.example/v1/*"), &e);
        if (!code)
            code = targets_override(t, BYTES("https://a.example=https://127.0.0.1"), &e);
        if (!code)
            code = targets_allow_private(t, BYTES("localhost"));
        if (!code)
            code = targets_check(t, BYTES("https://a.example/v1/x?y"), &e);
        if (code)
            CHECK_INT(code, WEIR_NOMEM);
        targets_rewrite(t, BYTES("https://a.example/v1/x?y"), &out);
        buf_fini(&out);
        targets_free(t);
    }
}
