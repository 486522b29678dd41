/* Target lists: a handful of patterns, asked once for each dial, so an array and a walk are enough.
 *
 * A URL and a pattern are both brought into one spelling (target_url.c) and then compared octet for
 * octet. What can go wrong is only what a plugin writes: then the answer is a refusal that names
 * what would have been allowed. */
#include "net/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "net/target_address.h"
#include "net/target_url.h"

typedef struct pattern {
    char *text; /* as given */
    url where;
    bool star; /* path is a prefix */
} pattern;

typedef struct override {
    url from, to;
} override;

struct targets {
    pattern *patterns;
    size_t count;
    override *overrides;
    size_t override_count;
    char **private_hosts;
    size_t private_count;
};

static weir_code no_memory(weir_error *err)
{
    return error_set(err, WEIR_NOMEM, "network targets: out of memory");
}

/* One more element behind `count`; the array itself where it lies afterwards, NULL when memory is out. */
static void *grow(void *array, size_t count, size_t size)
{
    return count & (count - 1) || (count && count < 4) ? array : realloc(array, (count ? count * 2 : 4) * size);
}

targets *targets_new(void)
{
    return calloc(1, sizeof(targets));
}

void targets_free(targets *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++) {
        free(t->patterns[i].text);
        url_fini(&t->patterns[i].where);
    }
    for (size_t i = 0; i < t->override_count; i++) {
        url_fini(&t->overrides[i].from);
        url_fini(&t->overrides[i].to);
    }
    for (size_t i = 0; i < t->private_count; i++)
        free(t->private_hosts[i]);
    free(t->patterns);
    free(t->overrides);
    free(t->private_hosts);
    free(t);
}

static bool holds(bytes text, char c)
{
    return text.len && memchr(text.at, c, text.len);
}

/* Takes a pattern apart. The star is replaced by a letter while the path is normalised, since what
 * stands before it may be half a segment: what begins with "/a/." is not all of "/a/". */
static weir_code pattern_read(pattern *p, bytes text, weir_error *err)
{
    buf plain;
    p->star = text.len && text.at[text.len - 1] == '*';
    bytes prefix = bytes_make(text.at, text.len - p->star);
    if (holds(prefix, '*'))
        return error_set(err, WEIR_INVALID, "a '*' may stand only at the end of the path");
    if (holds(prefix, '?') || holds(prefix, '#'))
        return error_set(err, WEIR_INVALID, "a query is not part of a target; leave it out");
    buf_init(&plain, URL_MAX);
    buf_add_bytes(&plain, prefix);
    if (p->star)
        buf_add_char(&plain, 'x');
    weir_code code = plain.failed ? no_memory(err) : url_read(&p->where, buf_bytes(&plain), err);
    buf_fini(&plain);
    if (code == WEIR_REFUSED && err) /* asking for it is a mistake, not a breach */
        err->code = WEIR_INVALID;
    if (code)
        return code == WEIR_REFUSED ? WEIR_INVALID : code;
    if (!p->star)
        return WEIR_OK;
    size_t scheme = strlen(p->where.scheme) + 3;
    if (prefix.len <= scheme || !memchr(prefix.at + scheme, '/', prefix.len - scheme)) {
        url_fini(&p->where);
        return error_set(err, WEIR_INVALID, "a '*' may not stand in the host");
    }
    p->where.path.len--; /* the letter */
    return WEIR_OK;
}

weir_code targets_add(targets *t, bytes text, weir_error *err)
{
    pattern p = {0};
    weir_code code = pattern_read(&p, text, err);
    if (code) {
        error_wrap(err, "network target '" BYTES_FMT "' (wanted: scheme://host/path*)", BYTES_ARG(text));
        return code;
    }
    p.text = bytes_dup(text);
    pattern *all = p.text ? grow(t->patterns, t->count, sizeof p) : NULL;
    if (!all) {
        free(p.text);
        url_fini(&p.where);
        return no_memory(err);
    }
    t->patterns = all;
    t->patterns[t->count++] = p;
    return WEIR_OK;
}

size_t targets_count(const targets *t)
{
    return t->count;
}

bytes targets_pattern(const targets *t, size_t i)
{
    return bytes_of(t->patterns[i].text);
}

static bool pattern_covers(const pattern *p, const url *u)
{
    bytes have = buf_bytes(&u->path), want = buf_bytes(&p->where.path);
    if (!url_same_origin(&p->where, u))
        return false;
    if (!p->star)
        return bytes_equal(have, want);
    bool folder = want.len > 1 && want.at[want.len - 1] == '/'; /* the same path without the slash counts */
    return bytes_starts(have, want) || (folder && bytes_equal(have, bytes_make(want.at, want.len - 1)));
}

/* "'a', 'b' and 3 more", for a text that says what would work. */
static void list_patterns(const targets *t, char *out, size_t size)
{
    size_t n = 0;
    if (t->count == 0)
        snprintf(out, size, "nothing, since the list is empty");
    for (size_t i = 0; i < t->count && n < size; i++) {
        if (n + strlen(t->patterns[i].text) + 24 > size && i) {
            snprintf(out + n, size - n, " and %zu more", t->count - i);
            return;
        }
        int added = snprintf(out + n, size - n, "%s'%s'", i ? ", " : "", t->patterns[i].text);
        n += added > 0 ? (size_t)added : 0;
    }
}

static bool pattern_within(const pattern *n, const pattern *w)
{
    if (!n->star)
        return pattern_covers(w, &n->where);
    return w->star && url_same_origin(&w->where, &n->where) && bytes_starts(buf_bytes(&n->where.path), buf_bytes(&w->where.path));
}

bool targets_within(const targets *narrow, const targets *wide, weir_error *err)
{
    for (size_t i = 0; i < narrow->count; i++) {
        const pattern *n = &narrow->patterns[i];
        bool covered = false;
        for (size_t k = 0; k < wide->count && !covered; k++)
            covered = pattern_within(n, &wide->patterns[k]);
        if (!covered) {
            char list[240];
            list_patterns(wide, list, sizeof list);
            error_set(err, WEIR_REFUSED, "'%.150s' reaches further than the plugin asks for, which is %s", n->text, list);
            return false;
        }
    }
    return true;
}

bool targets_beyond(const targets *more, const targets *than, const char *mark, buf *out)
{
    bool any = false;
    for (size_t i = 0; i < more->count; i++) {
        const pattern *n = &more->patterns[i];
        bool covered = false;
        for (size_t k = 0; k < than->count && !covered; k++)
            covered = pattern_within(n, &than->patterns[k]);
        if (covered)
            continue;
        any = true;
        buf_add_fmt(out, "%s%s %s %s", out->len ? ", " : "", mark, n->where.scheme, n->text);
    }
    return any;
}

void targets_exchange(targets *t, targets *from)
{
    targets was = *t;
    *t = *from;
    *from = was;
}

weir_code targets_allow_private(targets *t, bytes host)
{
    char *copy = bytes_dup(host);
    char **all = copy ? grow(t->private_hosts, t->private_count, sizeof *all) : NULL;
    if (!all) {
        free(copy);
        return WEIR_NOMEM;
    }
    t->private_hosts = all;
    t->private_hosts[t->private_count++] = copy;
    return WEIR_OK;
}

static bool bare_origin(const url *u)
{
    return bytes_is(buf_bytes(&u->path), "/") && !u->has_query;
}

weir_code targets_override(targets *t, bytes rule, weir_error *err)
{
    static const char wanted[] = "write it as https://api.example.com=https://127.0.0.1:8443";
    const char *equals = rule.len ? memchr(rule.at, '=', rule.len) : NULL;
    if (!equals)
        return error_set(err, WEIR_INVALID, "override '" BYTES_FMT "': there is no '=' in it; %s", BYTES_ARG(rule), wanted);
    size_t left = (size_t)(equals - rule.at);
    override o;
    weir_code code = url_read(&o.from, bytes_make(rule.at, left), err);
    if (code)
        goto named;
    code = url_read(&o.to, bytes_make(equals + 1, rule.len - left - 1), err);
    if (code) {
        url_fini(&o.from);
        goto named;
    }
    if (!bare_origin(&o.from) || !bare_origin(&o.to))
        code = error_set(err, WEIR_INVALID, "both sides are origins, without a path; %s", wanted);
    else if (o.from.websocket != o.to.websocket)
        code = error_set(err, WEIR_INVALID, "ws and wss can stand for each other, http and https too, but not across; %s", wanted);
    override *all = code ? NULL : grow(t->overrides, t->override_count, sizeof o);
    if (all) {
        t->overrides = all;
        t->overrides[t->override_count++] = o;
        return WEIR_OK;
    }
    url_fini(&o.from);
    url_fini(&o.to);
    if (!code)
        return no_memory(err);
named:
    if (code == WEIR_NOMEM)
        return code;
    error_wrap(err, "override '" BYTES_FMT "'", BYTES_ARG(rule));
    if (err)
        err->code = WEIR_INVALID;
    return WEIR_INVALID;
}

weir_code targets_check(const targets *t, bytes text, weir_error *err)
{
    url u;
    weir_code code = url_read(&u, text, err);
    if (code) {
        if (code == WEIR_REFUSED)
            error_wrap(err, "may not open");
        return code;
    }
    for (size_t i = 0; i < t->count; i++)
        if (pattern_covers(&t->patterns[i], &u)) {
            url_fini(&u);
            return WEIR_OK;
        }
    char list[260];
    buf shown; /* without the query, which may hold a key */
    list_patterns(t, list, sizeof list);
    buf_init(&shown, 4 * URL_MAX);
    url_put_origin(&u, &shown);
    buf_add_bytes(&shown, buf_bytes(&u.path));
    code = error_set(err, WEIR_REFUSED, "may not open '" BYTES_FMT "'; the plugin's targets allow %s", BYTES_ARG(buf_bytes(&shown)), list);
    buf_fini(&shown);
    url_fini(&u);
    return code;
}

bool targets_rewrite(const targets *t, bytes text, buf *out)
{
    url u;
    if (!t->override_count || url_read(&u, text, NULL))
        return false;
    bool found = false;
    for (size_t i = 0; i < t->override_count && !found; i++) {
        const override *o = &t->overrides[i];
        if (!url_same_origin(&o->from, &u))
            continue;
        found = true;
        memcpy(u.scheme, o->to.scheme, sizeof u.scheme);
        memcpy(u.host, o->to.host, sizeof u.host);
        u.port = o->to.port;
        u.tls = o->to.tls;
        url_put(&u, out);
    }
    url_fini(&u);
    return found;
}

weir_code targets_check_address(const targets *t, bytes host, const struct sockaddr *address, weir_error *err)
{
    const char *special = address_special(address);
    if (!special)
        return WEIR_OK;
    bool brackets = host.len > 2 && host.at[0] == '['; /* an IPv6 host may be named with or without */
    bytes bare = brackets ? bytes_make(host.at + 1, host.len - 2) : host;
    for (size_t i = 0; t && i < t->private_count; i++) {
        const char *name = t->private_hosts[i];
        if ((strlen(name) == host.len && strncasecmp(name, host.at, host.len) == 0) ||
            (strlen(name) == bare.len && strncasecmp(name, bare.at, bare.len) == 0))
            return WEIR_OK;
    }
    char text[ADDRESS_TEXT];
    address_text(text, address);
    return error_set(err, WEIR_REFUSED, "may not reach '" BYTES_FMT "' at %s (%s); only hosts allowed by name may be there", BYTES_ARG(host), text, special);
}
