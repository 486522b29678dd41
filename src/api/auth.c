/* Who asks: a token in the Authorization header, or a session, which a browser keeps as a cookie that scripts cannot read.
 *
 * A session is a random number; what is kept of it is its SHA-256, so that looking it up tells nothing by its timing, and a
 * stolen store opens nothing. It stands for the token that it was made with: taking back that token ends it. Sessions are in
 * the store too, since a page shall not lose its login by a restart; without a store that can be written they last as
 * long as the process. Tokens are compared by the node.
 *
 * A cookie comes along with whatever a browser is made to send by other pages, so what changes something by a cookie needs a
 * header that no foreign page can set, and an Origin that is ours. */
#include "api/inside.h"

#include "base/digest.h"
#include "base/json.h"
#include "base/rand.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define COOKIE "weir_session="

/* ---- Sessions ---- */

static void session_drop(api *a, session *s)
{
    map_remove(a->sessions, bytes_of(s->key));
    store *to = node_store(a->node);
    if (to)
        store_remove(to, "sessions", s->key, NULL, NULL);
    free(s);
}

static session *session_find(api *a, const char *key)
{
    session *s = map_get(a->sessions, bytes_of(key));
    if (s && clock_real() >= s->expires_ns) {
        session_drop(a, s);
        return NULL;
    }
    return s;
}

static bool session_add(api *a, const char *key, const char *token, uint64_t expires_ns)
{
    session *s = calloc(1, sizeof *s);
    if (!s)
        return false;
    snprintf(s->key, sizeof s->key, "%s", key);
    snprintf(s->token, sizeof s->token, "%s", token);
    s->expires_ns = expires_ns;
    if (map_set(a->sessions, bytes_of(key), s, NULL))
        return true;
    free(s);
    return false;
}

/* The store's "sessions": {"token":"3","expires_at":"ns"} under the cookie's SHA-256. */
static void on_stored(void *arg, const char *id, bytes text, bytes secret, bool sealed)
{
    api *a = arg;
    json token, expires;
    json_field want[] = {{"token", &token}, {"expires_at", &expires}};
    uint64_t until;
    (void)secret, (void)sealed;
    if (json_read_fields(text, want, 2, NULL) || !json_text_u64(expires, &until) || strlen(id) != 64)
        return;
    char *name = json_string_dup(token);
    if (name && strlen(name) < sizeof((session *)0)->token && map_count(a->sessions) < API_SESSIONS_MAX)
        session_add(a, id, name, until);
    free(name);
}

/* Those whose time is over go; if none was, the one that ends first makes room. */
static void make_room(api *a)
{
    while (map_count(a->sessions) >= API_SESSIONS_MAX) {
        session *oldest = NULL;
        bytes key;
        void *value;
        for (size_t at = 0; map_each(a->sessions, &at, &key, &value);) {
            session *s = value;
            if (!oldest || s->expires_ns < oldest->expires_ns)
                oldest = s;
        }
        session_drop(a, oldest);
    }
}

void auth_begin(api *a)
{
    weir_error err = WEIR_ERROR_INIT;
    store *from = node_store(a->node);
    if (from && store_load(from, "sessions", on_stored, a, &err))
        log_warn("api", "sessions are forgotten, whoever was logged in logs in anew: %s", err.text);
}

void auth_end(api *a)
{
    bytes key;
    void *value;
    for (size_t at = 0; a->sessions && map_each(a->sessions, &at, &key, &value);)
        free(value);
    map_free(a->sessions);
    a->sessions = NULL;
}

/* ---- Who is it ---- */

static void take_token(caller *c, const node_token *t)
{
    c->scope = t->scope;
    c->known = true;
    snprintf(c->id, sizeof c->id, "%s", t->id);
    snprintf(c->name, sizeof c->name, "%s", t->name);
}

/* The value of our cookie among "a=1; b=2". */
static bytes find_cookie(bytes cookies)
{
    while (cookies.len) {
        const char *semi = memchr(cookies.at, ';', cookies.len);
        bytes one = {cookies.at, semi ? (size_t)(semi - cookies.at) : cookies.len};
        cookies = semi ? bytes_make(semi + 1, cookies.len - one.len - 1) : bytes_make(NULL, 0);
        while (one.len && *one.at == ' ')
            one.at++, one.len--;
        if (bytes_starts(one, BYTES(COOKIE)))
            return bytes_make(one.at + sizeof COOKIE - 1, one.len - (sizeof COOKIE - 1));
    }
    return bytes_make(NULL, 0);
}

static void identify_cookie(api *a, bytes value, caller *out)
{
    char key[DIGEST_HEX];
    node_token t;
    digest_sha256(key, value);
    session *s = session_find(a, key);
    if (!s || !node_token_get(a->node, s->token, &t))
        return;
    take_token(out, &t);
    out->ambient = true;
    memcpy(out->session, key, sizeof out->session);
}

static void put_peer(caller *c, bytes peer)
{
    size_t len = peer.len;
    while (len && peer.at[len - 1] != ':')
        len--;
    snprintf(c->peer, sizeof c->peer, "%.*s", len ? (int)len - 1 : (int)peer.len, peer.at);
}

void auth_identify(api *a, const server_request *r, caller *out)
{
    bytes header = server_header(r, "authorization"), cookie = find_cookie(server_header(r, "cookie"));
    node_token t;
    *out = (caller){.scope = NODE_SCOPE_NONE};
    put_peer(out, server_peer(r));
    if (header.len) { /* who shows a token wants to be known by that and nothing else */
        if (header.len > 7 && !strncasecmp(header.at, "bearer ", 7) && node_token_find(a->node, bytes_make(header.at + 7, header.len - 7), &t))
            take_token(out, &t);
        return;
    }
    if (cookie.len)
        identify_cookie(a, cookie, out);
    if (!out->known && a->options.anonymous) {
        *out = (caller){.scope = a->options.anonymous, .known = true, .ambient = true, .name = "anonymous"};
        put_peer(out, server_peer(r));
    }
}

bool auth_still(api *a, const caller *c)
{
    node_token t;
    if (c->session[0] && !session_find(a, c->session))
        return false;
    return !c->id[0] || node_token_get(a->node, c->id, &t);
}

/* ---- Where from ---- */

static bytes without_port(bytes host)
{
    size_t len = host.len;
    while (len && host.at[len - 1] >= '0' && host.at[len - 1] <= '9')
        len--;
    return len > 1 && host.at[len - 1] == ':' ? bytes_make(host.at, len - 1) : host;
}

bool auth_host(const api *a, bytes host)
{
    static const char *const local[] = {"localhost", "127.0.0.1", "[::1]"};
    const char *const *names = a->options.host_count ? a->options.hosts : a->loopback ? local
                                                                                      : NULL;
    size_t count = a->options.host_count ? a->options.host_count : 3;
    bytes name = without_port(host);
    if (!names)
        return true;
    for (size_t i = 0; i < count; i++)
        if (name.len == strlen(names[i]) && !strncasecmp(name.at, names[i], name.len))
            return true;
    return false;
}

/* The scheme is not compared: TLS may end ahead of us. */
bool auth_origin(const server_request *r)
{
    bytes origin = server_header(r, "origin"), host = server_header(r, "host");
    const char *at = origin.len ? memmem(origin.at, origin.len, "://", 3) : NULL;
    if (!at)
        return false;
    bytes rest = {at + 3, origin.len - (size_t)(at + 3 - origin.at)};
    return rest.len == host.len && !strncasecmp(rest.at, host.at, host.len);
}

/* ---- /v1/session ---- */

static void answer_session(asked *q, const caller *who, const char *cookie)
{
    buf body;
    buf_init(&body, 4096);
    buf_add_char(&body, '{');
    json_put_member(&body, "name", bytes_of(who->name));
    json_put_member(&body, "scope", bytes_of(scope_name(who->scope)));
    buf_add_char(&body, '}');
    http_header headers[] = {
        {BYTES("Content-Type"), BYTES(API_JSON)},
        {BYTES("Cache-Control"), BYTES("no-store")},
        {BYTES("X-Content-Type-Options"), BYTES("nosniff")},
        {BYTES("Set-Cookie"), bytes_of(cookie)},
    };
    answer_as(q, 200, headers, cookie ? 4 : 3, buf_bytes(&body));
    buf_fini(&body);
}

/* Makes a session for q->who and writes its cookie. */
static bool begin_session(asked *q, char *cookie, size_t room)
{
    api *a = q->api;
    unsigned char random[32];
    char text[65], key[DIGEST_HEX], stored[160];
    uint64_t expires = clock_real() + API_SESSION_NS;
    rand_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(text + 2 * i, 3, "%02x", random[i]);
    digest_sha256(key, bytes_of(text));
    make_room(a);
    if (!session_add(a, key, q->who.id, expires))
        return false;
    snprintf(stored, sizeof stored, "{\"token\":\"%s\",\"expires_at\":\"%llu\"}", q->who.id, (unsigned long long)expires);
    store *to = node_store(a->node);
    if (to)
        store_put(to, "sessions", key, bytes_of(stored), bytes_make(NULL, 0), NULL, NULL);
    snprintf(cookie, room, COOKIE "%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%llu%s", text,
             (unsigned long long)(API_SESSION_NS / NS_PER_S), a->options.cert_file ? "; Secure" : "");
    return true;
}

void session_make(asked *q)
{
    json token;
    json_field want[] = {{"token", &token}};
    node_token t;
    buf text;
    char cookie[256];
    buf_init(&text, 1024);
    bool good = !json_read_fields(server_body(q->r), want, 1, NULL) && json_string_add(token, &text) &&
                node_token_find(q->api->node, buf_bytes(&text), &t);
    buf_fini(&text);
    if (!good) {
        bool first;
        uint64_t wait = rate_take(&q->api->refusals, bytes_of(q->who.peer), clock_mono(), &first);
        if (wait)
            answer_retry(q, wait);
        else
            answer_error(q, 401, "REFUSED", "nobody has this token, or it has expired");
        return;
    }
    take_token(&q->who, &t);
    if (!begin_session(q, cookie, sizeof cookie)) {
        answer_code(q, WEIR_NOMEM, NULL);
        return;
    }
    audit(q, 200, NULL);
    caller who = q->who;
    answer_session(q, &who, cookie);
}

void session_read(asked *q)
{
    caller who = q->who;
    answer_session(q, &who, NULL);
}

void session_end(asked *q)
{
    session *s = q->who.session[0] ? session_find(q->api, q->who.session) : NULL;
    if (s)
        session_drop(q->api, s);
    audit(q, 204, NULL);
    sockets_check(q->api, false, "logged out");
    events_check(q->api, false);
    http_header headers[] = {
        {BYTES("Cache-Control"), BYTES("no-store")},
        {BYTES("Set-Cookie"), BYTES(COOKIE "; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")},
    };
    answer_as(q, 204, headers, 2, bytes_make(NULL, 0));
}
