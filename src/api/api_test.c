/* Who is let in, who is not and what they are told, over real sockets before a real node. */
#include "api/testing.h"

#include "api/inside.h"
#include "net/cert.h"

#include <time.h>

TEST(api, says_that_it_lives_and_is_ready_to_anybody)
{
    world_open(NULL, NULL);
    CHECK_INT(request("GET", "/v1/health", NULL, NULL), 200);
    CHECK_TEXT(body_heard, "{\"status\":\"ok\"}");
    CHECK_HAS(heard, "X-Content-Type-Options: nosniff\r\n");
    CHECK_HAS(heard, "Cache-Control: no-store\r\n");
    for (int i = 0; i < 1000 && request("GET", "/v1/ready", NULL, NULL) != 200; i++)
        turns(1);
    CHECK_TEXT(body_heard, "{\"ready\":true,\"why\":\"\"}");
    api_drain(w.api);
    CHECK_INT(request("GET", "/v1/ready", NULL, NULL), 503);
    CHECK_HAS(body_heard, "shut down");
    CHECK_INT(request("HEAD", "/v1/health", NULL, NULL), 200);
    CHECK_TEXT(body_heard, "");
    world_close();
}

TEST(api, wants_a_token_a_good_one_and_one_that_may)
{
    world_open(NULL, NULL);
    CHECK_INT(request("GET", "/v1/plugins", NULL, NULL), 401);
    CHECK_HAS(heard, "WWW-Authenticate: Bearer");
    CHECK_HAS(body_heard, "{\"error\":{\"code\":\"REFUSED\",\"text\":\"no token: send 'Authorization: Bearer weir_...'");
    CHECK_INT(request("GET", "/v1/plugins", "weir_0123", NULL), 401);
    CHECK_HAS(body_heard, "nobody has this token");
    CHECK_INT(request_with("GET", "/v1/plugins", NULL, "Authorization: Basic eDp5\r\n", NULL), 401);
    CHECK_INT(request("GET", "/v1/plugins", w.read, NULL), 200);
    CHECK_TEXT(body_heard, "{\"plugins\":[]}");
    CHECK_INT(request("POST", "/v1/streams", w.read, "{\"type\":\"x\",\"identifier\":\"y\",\"connection\":1}"), 403);
    CHECK_TEXT(body_heard, "{\"error\":{\"code\":\"REFUSED\",\"text\":\"'streams.create' needs the scope operate; 'eye' has read\",\"needs\":\"operate\"}}");
    CHECK_INT(request("POST", "/v1/streams", w.operate, "{\"type\":\"x\",\"identifier\":\"y\",\"connection\":1}"), 404);
    CHECK_HAS(body_heard, "there is no connection 1");
    CHECK(!strstr(body_heard, "\"needs\""));
    CHECK_INT(request("GET", "/v1/tokens", w.operate, NULL), 403);
    CHECK_HAS(body_heard, "\"needs\":\"admin\"}");
    CHECK_INT(request("GET", "/v1/tokens", w.admin, NULL), 200);
    CHECK(!strstr(body_heard, w.admin));
    world_close();
}

TEST(api, a_token_ends_when_it_expires_or_is_taken_back)
{
    char body[128], path[64], token[128] = "", *at;
    world_open(NULL, NULL);
    snprintf(body, sizeof body, "{\"name\":\"short\",\"scope\":\"read\",\"expires_at\":\"%llu\"}", (unsigned long long)(clock_real() + 300 * NS_PER_MS));
    CHECK_INT(request("POST", "/v1/tokens", w.admin, body), 201);
    at = strstr(body_heard, "\"token\":\"");
    CHECK(at && sscanf(at, "\"token\":\"%100[^\"]", token) == 1);
    int status = 200;
    for (int i = 0; i < 1000 && status == 200; i++) {
        status = request("GET", "/v1/node", token, NULL);
        turns(1);
    }
    CHECK_INT(status, 401);

    CHECK_INT(request("POST", "/v1/tokens", w.admin, "{\"name\":\"long\",\"scope\":\"read\"}"), 201);
    unsigned id = 0;
    CHECK((at = strstr(body_heard, "\"token\":\"")) && sscanf(at, "\"token\":\"%100[^\"]", token) == 1);
    CHECK((at = strstr(body_heard, "\"id\":")) && (sscanf(at, "\"id\":%u", &id) == 1 || sscanf(at, "\"id\":\"%u", &id) == 1));
    int fd = ws_dial(token);
    CHECK_INT(request("GET", "/v1/node", token, NULL), 200);
    snprintf(path, sizeof path, "/v1/tokens/%u", id);
    CHECK_INT(request("DELETE", path, w.admin, NULL), 204);
    CHECK_INT(request("GET", "/v1/node", token, NULL), 401);
    fresh();
    hear(fd, "its token was taken back"); /* what was open by it is closed */
    close(fd);
    world_close();
}

static int64_t step_ns; /* by which the machine's clock was set */

static uint64_t stepped_real(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)((int64_t)((uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec) + step_ns);
}

/* Who may is told by the clock as it is now; what counts how long (rates, sockets, answers) does not look at it. */
TEST(api, goes_on_when_the_machines_clock_is_set)
{
    static const int64_t hours[] = {0, -24, -2400, 0, 2, 24, -1, 24000, 0};
    char body[128], path[32], token[128] = "", *at;
    clock_replace(stepped_real, NULL);
    world_open(&(api_options){.rate = 1000}, NULL);
    snprintf(body, sizeof body, "{\"name\":\"hour\",\"scope\":\"read\",\"expires_at\":\"%llu\"}", (unsigned long long)(clock_real() + 3600 * NS_PER_S));
    CHECK_INT(request("POST", "/v1/tokens", w.admin, body), 201);
    CHECK((at = strstr(body_heard, "\"token\":\"")) && sscanf(at, "\"token\":\"%100[^\"]", token) == 1);
    int fd = ws_dial(w.read);
    for (size_t i = 0; i < sizeof hours / sizeof *hours; i++) {
        step_ns = hours[i] * 3600 * (int64_t)NS_PER_S;
        CHECK_INT(request("GET", "/v1/node", token, NULL), hours[i] > 0 ? 401 : 200);
        CHECK_INT(request("GET", "/v1/node", w.read, NULL), 200);
        snprintf(path, sizeof path, "/v1/ui/%zu", i);
        CHECK_INT(request("PUT", path, w.read, "{}"), 201);
        CHECK_INT(request("GET", "/v1/history?limit=1", w.read, NULL), 200);
        fresh();
        ws_say(fd, "{\"op\":\"ping\"}");
        hear(fd, "pong");
    }
    int seen = 0;
    for (int i = 0; i < 5000 && !seen; i++) { /* the audit is written behind the answers; its newest entry is the last that came, whatever the clock said */
        turns(1);
        CHECK_INT(request("GET", "/v1/audit?limit=3", w.admin, NULL), 200);
        at = strstr(body_heard, "ui.write");
        seen = at && !strncmp(body_heard, "{\"entries\":[{", 13) && strstr(body_heard, "\"status\":201");
    }
    CHECK(seen);
    close(fd);
    world_close();
    step_ns = 0;
    clock_replace(NULL, NULL);
}

TEST(api, a_session_stands_for_its_token_and_is_safe_from_other_pages)
{
    char body[200], cookie[256] = "", head[800], origin[64], *at;
    world_open(NULL, NULL);
    CHECK_INT(request("POST", "/v1/session", NULL, "{\"token\":\"weir_wrong\"}"), 401);
    CHECK_INT(request("POST", "/v1/session", NULL, "{}"), 401);
    snprintf(body, sizeof body, "{\"token\":\"%s\"}", w.operate);
    CHECK_INT(request("POST", "/v1/session", NULL, body), 200);
    CHECK_TEXT(body_heard, "{\"name\":\"hand\",\"scope\":\"operate\"}");
    CHECK((at = strstr(heard, "Set-Cookie: ")) && sscanf(at, "Set-Cookie: %200[^;]", cookie) == 1);
    CHECK_HAS(at, "; Path=/; HttpOnly; SameSite=Strict; Max-Age=");
    CHECK(!strstr(cookie, w.operate + 5));
    snprintf(origin, sizeof origin, "http://127.0.0.1:%u", api_port(w.api));

    snprintf(head, sizeof head, "Cookie: other=1; %s\r\n", cookie);
    CHECK_INT(request_with("GET", "/v1/session", NULL, head, NULL), 200);
    CHECK_INT(request_with("GET", "/v1/plugins", NULL, head, NULL), 200);
    CHECK_INT(request_with("POST", "/v1/plugins/x/enable", NULL, head, NULL), 403); /* a form of another page could send this */
    snprintf(head, sizeof head, "Cookie: %s\r\nX-Weir: 1\r\n", cookie);
    CHECK_INT(request_with("POST", "/v1/plugins/x/enable", NULL, head, NULL), 403);
    snprintf(head, sizeof head, "Cookie: %s\r\nX-Weir: 1\r\nOrigin: http://evil.example\r\n", cookie);
    CHECK_INT(request_with("POST", "/v1/plugins/x/enable", NULL, head, NULL), 403);
    snprintf(head, sizeof head, "Cookie: %s\r\nOrigin: %s\r\n", cookie, origin);
    CHECK_INT(request_with("POST", "/v1/plugins/x/enable", NULL, head, NULL), 403);
    snprintf(head, sizeof head, "Cookie: %s\r\nX-Weir: 1\r\nOrigin: %s\r\n", cookie, origin);
    CHECK_INT(request_with("POST", "/v1/plugins/x/enable", NULL, head, NULL), 404);
    CHECK_INT(request_with("GET", "/v1/tokens", NULL, head, NULL), 403);

    /* A WebSocket by cookie is not opened for another page. */
    snprintf(head, sizeof head, "Cookie: %s\r\nOrigin: http://evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", cookie);
    CHECK_INT(request_with("GET", "/v1/records/ws", NULL, head, NULL), 403);

    /* It outlives the api, as a page's login should. */
    for (int i = 0; i < 50; i++)
        turns(1);
    api_free(w.api);
    world_serve(NULL);
    snprintf(head, sizeof head, "Cookie: %s\r\n", cookie);
    CHECK_INT(request_with("GET", "/v1/session", NULL, head, NULL), 200);
    snprintf(origin, sizeof origin, "http://127.0.0.1:%u", api_port(w.api));
    snprintf(head, sizeof head, "Cookie: %s\r\nX-Weir: 1\r\nOrigin: %s\r\n", cookie, origin);
    CHECK_INT(request_with("DELETE", "/v1/session", NULL, head, NULL), 204);
    CHECK_HAS(heard, "Max-Age=0");
    CHECK_INT(request_with("GET", "/v1/session", NULL, head, NULL), 401);
    world_close();
}

TEST(api, is_asked_by_its_own_names_only)
{
    world_open(NULL, NULL);
    CHECK_INT(request_with("GET", "/v1/health", NULL, "Host: evil.example\r\n", NULL), 421);
    CHECK_HAS(body_heard, "this is not 'evil.example'");
    CHECK_INT(request_with("GET", "/v1/health", NULL, "Host: localhost:99\r\n", NULL), 200);
    CHECK_INT(request_with("GET", "/v1/health", NULL, "Host: [::1]\r\n", NULL), 200);
    CHECK_INT(request_with("GET", "/v1/health", NULL, "Host: 127.0.0.1.evil.example\r\n", NULL), 421);
    api_free(w.api);
    static const char *const names[] = {"terminal.example"};
    world_serve(&(api_options){.hosts = names, .host_count = 1});
    CHECK_INT(request_with("GET", "/v1/health", NULL, "Host: terminal.example\r\n", NULL), 200);
    CHECK_INT(request_with("GET", "/v1/health", NULL, "Host: localhost\r\n", NULL), 421);
    world_close();
}

TEST(api, somebody_without_a_token_may_what_the_options_say)
{
    char head[200];
    world_open(&(api_options){.anonymous = NODE_SCOPE_OPERATE, .metrics_open = true}, NULL);
    CHECK_INT(request("GET", "/v1/plugins", NULL, NULL), 200);
    CHECK_INT(request("GET", "/v1/tokens", NULL, NULL), 403);
    CHECK_INT(request("POST", "/v1/plugins/x/enable", NULL, NULL), 403);
    CHECK_INT(request_with("POST", "/v1/plugins/x/enable", NULL, "X-Weir: 1\r\n", NULL), 404);
    CHECK_INT(request_with("POST", "/v1/plugins/x/enable", NULL, "X-Weir: 1\r\nOrigin: http://evil.example\r\n", NULL), 403);
    snprintf(head, sizeof head, "X-Weir: 1\r\nOrigin: http://127.0.0.1:%u\r\n", api_port(w.api));
    CHECK_INT(request_with("POST", "/v1/plugins/x/enable", NULL, head, NULL), 404);
    CHECK_INT(request("GET", "/v1/plugins", "weir_wrong", NULL), 401); /* a wrong token is not nobody */
    CHECK_INT(request("GET", "/metrics", NULL, NULL), 200);
    world_close();
}

TEST(api, refuses_what_makes_no_sense_and_says_why)
{
    static const struct {
        const char *method, *path, *head, *body;
        int status;
        const char *says;
    } cases[] = {
        {"GET", "/v1/nothing", NULL, NULL, 404, "there is no path '/v1/nothing'"},
        {"GET", "/v1/plugins/", NULL, NULL, 404, "there is no path"},
        {"GET", "/v1/%2e%2e/metrics", NULL, NULL, 404, "there is no path"},
        {"PUT", "/v1/plugins", NULL, NULL, 405, "this path has GET, HEAD, POST only"},
        {"DELETE", "/metrics", NULL, NULL, 405, "this path has GET, HEAD only"},
        {"GET", "/v1/plugins?x=1", NULL, NULL, 400, "there is no query parameter 'x' here, nor any other"},
        {"GET", "/v1/logs?limit=1&limit=2", NULL, NULL, 400, "'limit' comes twice"},
        {"GET", "/v1/logs?part=%00", NULL, NULL, 400, "control character"},
        {"GET", "/v1/plugins/%ff", NULL, NULL, 400, "no valid UTF-8"},
        {"GET", "/v1/plugins/%1b%5b31m", NULL, NULL, 400, "control character (octet 27)"},
        {"GET", "/v1/plugins/%zz", NULL, NULL, 400, "two hexadecimal digits"},
        {"GET", "/v1/plugins/%E2%80%AE", NULL, NULL, 404, "there is no plugin"},
        {"GET", "/v1/streams/99999999999999999999", NULL, NULL, 404, "there is no stream"},
        {"POST", "/v1/streams", NULL, "{\"type\":", 400, "the body is no JSON"},
        {"POST", "/v1/streams", NULL, "\xff\xfe", 400, "the body is no JSON"},
        {"POST", "/v1/streams", NULL, NULL, 400, "the body is empty"},
        {"POST", "/v1/streams", "Content-Type: text/plain\r\n", "{}", 415, "it must be application/json"},
        {"POST", "/v1/streams", "Content-Type: application/jsonx\r\n", "{}", 415, "it must be application/json"},
        {"POST", "/v1/streams", "Content-Type: application/json; charset=utf-8\r\n", "[]", 400, "no JSON object"},
        {"POST", "/v1/plugins?file_name=x.wasm", NULL, "{}", 415, "application/wasm"},
        {"POST", "/v1/plugins?file_name=x.wasm", "Content-Type: application/wasm\r\n", "not a module", 400, "WebAssembly"},
        {"POST", "/v1/plugins?file_name=..%2f..%2fetc%2fpasswd", "Content-Type: application/wasm\r\n", "not a module", 400, ""},
        {"GET", "/v1/history?pattern=a..b", NULL, NULL, 400, "pattern"},
        {"GET", "/v1/history?from=yesterday", NULL, NULL, 400, "'from' is no number"},
        {"GET", "/v1/history?format=xml", NULL, NULL, 400, "format: 'xml' is none"},
        {"GET", "/v1/history?kinds=data,all", NULL, NULL, 400, "kinds: 'all' is none"},
        {"GET", "/v1/history?order=up", NULL, NULL, 400, "neither 'asc' nor 'desc'"},
        {"GET", "/v1/records/sse?pattern=%3E.%3E", NULL, NULL, 400, "'>'"},
        {"GET", "/v1/records/sse?policy=block", NULL, NULL, 400, "policy: 'block' is none"},
        {"GET", "/v1/records/ws", NULL, NULL, 426, "speaks WebSocket"},
    };
    world_open(NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = request_with(cases[i].method, cases[i].path, w.admin, cases[i].head, cases[i].body);
        if (status != cases[i].status || !strstr(body_heard, cases[i].says))
            test_fail(__FILE__, __LINE__, "%s %s: %s", cases[i].method, cases[i].path, heard);
        CHECK_HAS(body_heard, "{\"error\":{\"code\":\"");
    }
    CHECK_INT(request("PUT", "/v1/plugins", w.admin, NULL), 405);
    CHECK_HAS(heard, "Allow: GET, HEAD, POST\r\n");
    world_close();
}

TEST(api, takes_large_bodies_from_those_only_who_may_send_them)
{
    static char large[3 << 20];
    memset(large, ' ', sizeof large);
    world_open(NULL, NULL);
    CHECK_INT(request_octets("POST", "/v1/plugins", NULL, "Content-Type: application/wasm\r\n", bytes_make(large, sizeof large)), 401);
    CHECK_HAS(body_heard, "\"code\":\"REFUSED\"");
    CHECK(!strstr(body_heard, "\"needs\""));
    CHECK_INT(request_octets("POST", "/v1/plugins", w.operate, "Content-Type: application/wasm\r\n", bytes_make(large, sizeof large)), 403);
    CHECK_HAS(body_heard, "needs the scope admin");
    CHECK_HAS(body_heard, "\"needs\":\"admin\"}"); /* of a body that was not waited for, too */
    CHECK_INT(request_octets("POST", "/v1/plugins", w.admin, "Content-Type: application/wasm\r\n", bytes_make(large, sizeof large)), 400);
    CHECK_INT(request_octets("POST", "/v1/streams", w.admin, NULL, bytes_make(large, sizeof large)), 413);
    CHECK_INT(request_octets("POST", "/v1/session", NULL, NULL, bytes_make(large, 5000)), 413);
    CHECK_INT(request_octets("PUT", "/v1/ui/mine", w.read, NULL, bytes_make(large, 300 * 1024)), 413);
    CHECK_HAS(body_heard, "at most 262144 octets");
    CHECK_INT(request_octets("POST", "/v1/streams", w.admin, "Content-Encoding: gzip\r\n", BYTES("{}")), 415);
    CHECK_HAS(heard, "Accept-Encoding: identity\r\n");
    world_close();
}

TEST(api, says_how_long_to_wait_when_somebody_asks_too_often)
{
    world_open(&(api_options){.rate = 1}, NULL);
    int status = 200, i = 0;
    for (; i < 1000 && status == 200; i++)
        status = request("GET", "/v1/streams", w.read, NULL);
    CHECK_INT(status, 429);
    CHECK(i > 2);
    CHECK_HAS(heard, "Retry-After: 1\r\n");
    CHECK_HAS(body_heard, "\"code\":\"LIMIT\"");
    CHECK_INT(request("GET", "/v1/streams", w.operate, NULL), 200); /* others are not concerned */
    status = 401;
    for (i = 0; i < 1000 && status == 401; i++)
        status = request("GET", "/v1/streams", "weir_guess", NULL);
    CHECK_INT(status, 429);
    world_close();
}

TEST(api, keeps_in_the_audit_what_changes_something_and_who_is_refused)
{
    world_open(NULL, NULL);
    CHECK_INT(request("POST", "/v1/tokens", w.admin, "{\"name\":\"new\",\"scope\":\"read\"}"), 201);
    CHECK_INT(request("GET", "/v1/plugins", w.read, NULL), 200);
    CHECK_INT(request("DELETE", "/v1/plugins/x%22y", w.read, NULL), 403);
    CHECK_INT(request("GET", "/v1/plugins", NULL, NULL), 401);
    CHECK_INT(request_with("GET", "/v1/health", NULL, "Host: evil.example\r\n", NULL), 421);
    CHECK_INT(request("GET", "/v1/audit", w.admin, NULL), 200);
    CHECK_HAS(body_heard, "\"who\":\"boss\",\"scope\":\"admin\",\"peer\":\"127.0.0.1\",\"action\":\"tokens.create\",\"target\":\"4\",\"status\":201}");
    CHECK_HAS(body_heard, "\"who\":\"eye\",\"scope\":\"read\",\"peer\":\"127.0.0.1\",\"action\":\"plugins.remove\",\"target\":\"x\\\"y\",\"status\":403}");
    CHECK_HAS(body_heard, "\"action\":\"plugins.list\",\"target\":\"\",\"status\":401}");
    CHECK_HAS(body_heard, "\"status\":421}");
    CHECK(!strstr(body_heard, "\"action\":\"plugins.list\",\"target\":\"\",\"status\":200"));
    world_close();
}

TEST(api, answers_pipelined_requests_in_order_whoever_is_slow)
{
    char text[2000];
    world_open(NULL, NULL);
    int fd = dial(), len = 0;
    const char *paths[] = {"/v1/audit", "/v1/health", "/v1/nothing", "/v1/audit", "/v1/ready"};
    for (int i = 0; i < 5; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n%s\r\n", paths[i], w.admin, i == 4 ? "Connection: close\r\n" : "");
    fresh();
    say(fd, text);
    hear(fd, NULL);
    const char *order[] = {"{\"entries\":", "{\"status\":\"ok\"}", "there is no path", "{\"entries\":", "{\"ready\":"};
    const char *at = heard;
    for (int i = 0; i < 5; i++) {
        at = strstr(at, order[i]);
        CHECK(at != NULL);
        at++;
    }
    close(fd);
    world_close();
}

TEST(api, a_thousand_idle_sockets_and_a_slow_loris_do_no_harm)
{
    static int fds[1000];
    world_open(NULL, NULL);
    for (int i = 0; i < 1000; i++) {
        fds[i] = dial();
        if (i % 2)
            say(fds[i], "GET /v1/health HTTP/1.1\r\nHo");
        if (i % 100 == 0)
            turns(1);
    }
    turns(10);
    CHECK_INT(request("GET", "/v1/health", NULL, NULL), 200);
    CHECK_INT(request("GET", "/v1/plugins", w.read, NULL), 200);
    for (int i = 0; i < 1000; i++)
        close(fds[i]);
    world_close();
}

TEST(api, serves_the_pages_with_a_policy_and_keeps_what_browsers_have)
{
    static const api_asset assets[] = {
        {"/index.html", "text/html; charset=utf-8", BYTES("<!doctype html>page"), BYTES("gz-page"), "\"i1\"", false},
        {"/assets/app-1.js", "text/javascript; charset=utf-8", BYTES("code"), {NULL, 0}, "\"a1\"", true},
    };
    world_open(&(api_options){.assets = assets, .asset_count = 2}, NULL);
    CHECK_INT(request("GET", "/", NULL, NULL), 200);
    CHECK_TEXT(body_heard, "<!doctype html>page");
    CHECK_HAS(heard, "Content-Security-Policy: default-src 'none'; script-src 'self';");
    CHECK_HAS(heard, "frame-ancestors 'none'");
    CHECK_HAS(heard, "Referrer-Policy: no-referrer");
    CHECK_HAS(heard, "Cache-Control: no-cache");
    CHECK_INT(request("GET", "/plugins/woox?tab=log", NULL, NULL), 200);
    CHECK_TEXT(body_heard, "<!doctype html>page");
    CHECK_INT(request_with("GET", "/index.html", NULL, "Accept-Encoding: br, gzip\r\n", NULL), 200);
    CHECK_TEXT(body_heard, "gz-page");
    CHECK_HAS(heard, "Content-Encoding: gzip");
    CHECK_INT(request_with("GET", "/", NULL, "Accept-Encoding: gzip;q=0\r\n", NULL), 200);
    CHECK_TEXT(body_heard, "<!doctype html>page");
    CHECK_INT(request_with("GET", "/", NULL, "If-None-Match: \"i1\"\r\n", NULL), 304);
    CHECK_INT(request("GET", "/assets/app-1.js", NULL, NULL), 200);
    CHECK_HAS(heard, "immutable");
    CHECK_INT(request("GET", "/assets/none.js", NULL, NULL), 404);
    CHECK_INT(request("GET", "/../../etc/passwd.x", NULL, NULL), 404);
    CHECK_INT(request("GET", "/v1", NULL, NULL), 404);
    CHECK_INT(request("POST", "/", NULL, "{}"), 404);
    CHECK_INT(request_with("GET", "/", NULL, "Host: evil.example\r\n", NULL), 421);
    world_close();
}

TEST(api, its_document_has_every_route_and_no_other)
{
    json doc, paths, key, value, verb, body;
    weir_error err = WEIR_ERROR_INIT;
    size_t found = 0, count = 0;
    buf b;
    buf_init(&b, 4 << 20);
    CHECK(openapi_write(&b));
    CHECK_OK(json_read(&doc, buf_bytes(&b), &err));
    paths = json_member(doc, "paths");
    for (json_iter it = json_each(paths); json_next(&it, &key, &value);)
        for (json_iter verbs = json_each(value); json_next(&verbs, &verb, &body);)
            count++;
    for (size_t i = 0; i < route_count; i++) {
        char lower[8] = "";
        for (size_t k = 0; routes[i].method[k]; k++)
            lower[k] = (char)(routes[i].method[k] | 0x20);
        json at = json_member(json_member(paths, routes[i].path), lower);
        found += json_is(json_member(at, "operationId"), routes[i].op);
        const char *schemas[] = {routes[i].takes, routes[i].gives};
        for (int k = 0; k < 2; k++)
            if (schemas[k] && json_member(json_member(json_member(doc, "components"), "schemas"), schemas[k]).type == JSON_NONE)
                test_fail(__FILE__, __LINE__, "%s: no schema %s", routes[i].op, schemas[k]);
    }
    CHECK_UINT(found, route_count);
    CHECK_UINT(count, route_count);
    buf_fini(&b);
}

TEST(api, says_what_is_wrong_with_its_options)
{
    weir_error err = WEIR_ERROR_INIT;
    api *second = NULL;
    world_open(NULL, NULL);
    CHECK_INT(api_new(&second, w.f.n, &(api_options){.port = api_port(w.api)}, &err), WEIR_SYSTEM);
    CHECK_HAS(err.text, "is in use");
    CHECK_INT(api_new(&second, w.f.n, &(api_options){.cert_file = "/nonexistent.pem"}, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "'/nonexistent.pem'");
    api_free(NULL);
    world_close();
}

/* The peer goes, or the api does, while the node still works on the answer. */
TEST(api, outlives_peers_that_go_and_is_outlived_by_answers)
{
    char text[400];
    world_open(NULL, NULL);
    for (int i = 0; i < 2; i++) {
        int fd = dial();
        int len = snprintf(text, sizeof text, "POST /v1/tokens HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 29\r\n\r\n{\"name\":\"gone\",\"scope\":\"read\"}", w.admin);
        say_octets(fd, text, (size_t)len - 1);
        turns(1);
        say_octets(fd, text + len - 1, 1);
        if (i == 0) {
            turns(2);
            close(fd);
            turns(50);
        } else {
            turns(2);
            api_free(w.api);
            turns(50);
            close(fd);
            world_serve(NULL);
        }
    }
    CHECK_INT(request("GET", "/v1/tokens", w.admin, NULL), 200);
    world_close();
}

TEST(api, survives_any_failed_allocation)
{
    world_open(NULL, NULL);
    FAULT_SWEEP(alloc) {
        weir_error err = WEIR_ERROR_INIT;
        api *a = NULL;
        if (api_new(&a, w.f.n, NULL, &err))
            CHECK_UINT(err.code, WEIR_NOMEM);
        else
            api_free(a);
    }
    world_close();
}

/* Whatever allocation of a conversation fails, the answer may be an error or the connection may end; the api goes on. */
TEST(api, survives_a_failed_allocation_in_a_conversation)
{
    char text[600];
    world_open(&(api_options){.rate = 1000000}, NULL);
    record_stream *s = stream_named("trades", "A");
    publish(s, 3);
    turns(20);
    const char *paths[] = {"/v1/history?limit=2&format=csv", "/v1/records/sse?from=time", "/v1/logs?limit=1", "/metrics"};
    for (int i = 0; i < 4; i++)
        FAULT_SWEEP(alloc) {
            int fd = dial();
            snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", paths[i], w.read);
            say(fd, text);
            turns(12);
            close(fd);
            turns(3);
        }
    CHECK_INT(request("GET", "/v1/health", NULL, NULL), 200);
    record_stream_unref(s);
    world_close();
}

TEST(api, is_served_by_tls_when_it_has_a_certificate)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    weir_error err = WEIR_ERROR_INIT;
    char cert[128], key[128], folder[96];
    world_open(NULL, NULL);
    api_free(w.api);
    snprintf(folder, sizeof folder, "%s/tls", w.f.dir);
    snprintf(cert, sizeof cert, "%s/server.pem", folder);
    snprintf(key, sizeof key, "%s/server.key", folder);
    CHECK_OK(cert_make(folder, names, 2, &err));
    world_serve(&(api_options){.cert_file = cert, .key_file = key});
    int fd = dial(); /* a token in the clear is not taken */
    fresh();
    say(fd, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    hear(fd, "this port speaks TLS");
    close(fd);
    world_close();
}
