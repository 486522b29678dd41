/* What goes wrong on purpose.
 *
 * A rule strikes by chance, by count or by simulated time; see sim_fault_help for the grammar. Rules of
 * frames are asked for each pushed frame (client_send does not even call here when there are none),
 * rules of replies for each request, rules of connections at both and as time passes. */
#include "sim/inside.h"

#include <stdlib.h>

const char sim_fault_help[] =
    "  LIST is NAME[:KEY=VALUE]... separated by commas, e.g. 'disconnect:every=30s,dup:p=0.01'.\n"
    "  When a fault strikes: p=CHANCE (0..1, per frame or request), every=DURATION (simulated time) or\n"
    "  every=COUNT (frames or requests), after=DURATION or after=COUNT (once for each connection),\n"
    "  times=COUNT (at most so often in all). Without any: every time for 'slow', 'skew', 'refuse' and\n"
    "  'upgrade'; every=30s for a connection's faults; p=0.01 for a frame's; p=0.1 for a reply's.\n"
    "  A DURATION has a unit: ms, s, m, h.\n"
    "    of a connection   disconnect (reset) · drop (end without a close frame) · close:code=1001 ·\n"
    "                      half-open (neither reads nor writes) · silence:for=10s · pingflood:count=1000\n"
    "    of a frame        malformed (broken framing) · badjson · badutf8 · binary · huge:size=1048576 ·\n"
    "                      dup · reorder (changes places with the next) · lose ·\n"
    "                      gap (leaves out a book update, which breaks the prevTs chain)\n"
    "    of all frames     slow:delay=5ms:split=256 (pieces of so many octets, so far apart)\n"
    "    of a reply        429 · 5xx:status=502 · html:status=502 · empty · slowbody:for=5s · cutbody ·\n"
    "                      redirect:to=URL · hang (no answer)\n"
    "    of a handshake    refuse:after=COUNT (no connection beyond) · upgrade:status=503\n"
    "    of the clock      skew:by=-90s · cut:after=24h (how long a connection lives)\n";

typedef enum fault_of { OF_CONNECTION,
                        OF_FRAME,
                        OF_ALL_FRAMES,
                        OF_REPLY,
                        OF_HANDSHAKE,
                        OF_CLOCK } fault_of;

static const struct {
    const char *name;
    fault_of of;
} kinds[FAULT_KINDS] = {
    [FAULT_DISCONNECT] = {"disconnect", OF_CONNECTION},
    [FAULT_DROP] = {"drop", OF_CONNECTION},
    [FAULT_CLOSE] = {"close", OF_CONNECTION},
    [FAULT_HALF_OPEN] = {"half-open", OF_CONNECTION},
    [FAULT_SILENCE] = {"silence", OF_CONNECTION},
    [FAULT_PINGFLOOD] = {"pingflood", OF_CONNECTION},
    [FAULT_MALFORMED] = {"malformed", OF_FRAME},
    [FAULT_BADJSON] = {"badjson", OF_FRAME},
    [FAULT_BADUTF8] = {"badutf8", OF_FRAME},
    [FAULT_BINARY] = {"binary", OF_FRAME},
    [FAULT_HUGE] = {"huge", OF_FRAME},
    [FAULT_DUP] = {"dup", OF_FRAME},
    [FAULT_REORDER] = {"reorder", OF_FRAME},
    [FAULT_GAP] = {"gap", OF_FRAME},
    [FAULT_LOSE] = {"lose", OF_FRAME},
    [FAULT_SLOW] = {"slow", OF_ALL_FRAMES},
    [FAULT_429] = {"429", OF_REPLY},
    [FAULT_5XX] = {"5xx", OF_REPLY},
    [FAULT_HTML] = {"html", OF_REPLY},
    [FAULT_EMPTY] = {"empty", OF_REPLY},
    [FAULT_SLOWBODY] = {"slowbody", OF_REPLY},
    [FAULT_CUTBODY] = {"cutbody", OF_REPLY},
    [FAULT_REDIRECT] = {"redirect", OF_REPLY},
    [FAULT_HANG] = {"hang", OF_REPLY},
    [FAULT_REFUSE] = {"refuse", OF_HANDSHAKE},
    [FAULT_UPGRADE] = {"upgrade", OF_HANDSHAKE},
    [FAULT_SKEW] = {"skew", OF_CLOCK},
    [FAULT_CUT] = {"cut", OF_CLOCK},
};

/* ---- Reading the list ---- */

/* "30s", "250ms", "-90s" in milliseconds; *bare is true for a number without a unit. */
static bool parse_span(const char *text, int64_t *ms, bool *bare)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1}};
    char *end;
    double value = strtod(text, &end);
    if (end == text || value > 1e15 || value < -1e15)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (!strcmp(end, units[i].unit)) {
            *ms = (int64_t)(value * units[i].ms);
            *bare = !*end;
            return true;
        }
    return false;
}

static weir_code parse_key(fault_rule *r, const char *key, const char *value, weir_error *err)
{
    int64_t span = 0;
    bool bare = false, ok = parse_span(value, &span, &bare);
    char *end;
    if (!strcmp(key, "to")) {
        snprintf(r->to, sizeof r->to, "%s", value);
        return WEIR_OK;
    }
    if (!strcmp(key, "p")) {
        r->p = strtod(value, &end);
        if (*end || end == value || r->p < 0 || r->p > 1)
            return error_set(err, WEIR_INVALID, "'p=%s' is no chance; it lies between 0 and 1", value);
        return WEIR_OK;
    }
    if (!ok || (span < 0 && strcmp(key, "by")))
        return error_set(err, WEIR_INVALID, "'%s=%s' is neither a count nor a duration such as 250ms, 30s, 5m, 24h", key, value);
    uint64_t *by_time[] = {&r->every_ms, &r->after_ms}, *by_count[] = {&r->every_n, &r->after_n};
    if (!strcmp(key, "every") || !strcmp(key, "after"))
        *(bare ? by_count : by_time)[!strcmp(key, "after")] = (uint64_t)span;
    else if (!strcmp(key, "for"))
        r->for_ms = (uint64_t)span;
    else if (!strcmp(key, "delay"))
        r->delay_ms = (uint64_t)span;
    else if (!strcmp(key, "by"))
        r->by_ms = span;
    else if (!strcmp(key, "times"))
        r->times = (uint64_t)span;
    else if (!strcmp(key, "split"))
        r->split = (uint64_t)span;
    else if (!strcmp(key, "size"))
        r->size = (uint64_t)span;
    else if (!strcmp(key, "count"))
        r->count = (uint64_t)span;
    else if (!strcmp(key, "status") || !strcmp(key, "code"))
        r->status = (uint16_t)span;
    else
        return error_set(err, WEIR_INVALID, "'%s' is no setting; these are: p every after times for delay split size count status code by to", key);
    return WEIR_OK;
}

static void set_defaults(fault_rule *r)
{
    bool triggered = r->p > 0 || r->every_ms || r->every_n || r->after_ms || r->after_n;
    fault_of of = kinds[r->kind].of;
    if (!triggered && of == OF_CONNECTION)
        r->every_ms = 30000;
    if (!triggered && of == OF_FRAME)
        r->p = 0.01;
    if (!triggered && of == OF_REPLY)
        r->p = 0.1;
    if (!triggered && r->kind == FAULT_UPGRADE)
        r->p = 1;
    r->for_ms = r->for_ms ? r->for_ms : r->kind == FAULT_SLOWBODY ? 5000
                                                                  : 10000;
    r->delay_ms = r->delay_ms ? r->delay_ms : 5;
    r->split = r->split ? r->split : 256;
    r->size = r->size ? r->size : 1024 * 1024;
    r->count = r->count ? r->count : 1000;
    if (!r->status)
        r->status = r->kind == FAULT_CLOSE ? 1001 : r->kind == FAULT_UPGRADE ? 503
                                                                             : 502;
}

/* One NAME[:KEY=VALUE]...; the text is taken apart in place. A value may hold colons if it is the last
 * one and a URL. */
static weir_code parse_rule(fault_rule *r, char *text, weir_error *err)
{
    char *next = strchr(text, ':');
    if (next)
        *next++ = '\0';
    for (r->kind = 0; r->kind < FAULT_KINDS && strcmp(kinds[r->kind].name, text); r->kind++)
        ;
    if (r->kind == FAULT_KINDS)
        return error_set(err, WEIR_INVALID, "fault '%s' is unknown; 'weir sim --help' lists them", text);
    while (next) {
        char *key = next, *value = strchr(key, '=');
        if (!value)
            return error_set(err, WEIR_INVALID, "fault '%s': '%s' lacks '=VALUE'", text, key);
        *value++ = '\0';
        next = strcmp(key, "to") ? strchr(value, ':') : NULL;
        if (next)
            *next++ = '\0';
        if (parse_key(r, key, value, err))
            return error_wrap(err, "fault '%s'", text);
    }
    if (r->kind == FAULT_REDIRECT && !r->to[0])
        return error_set(err, WEIR_INVALID, "fault 'redirect': where to? 'redirect:to=https://other.example/'");
    set_defaults(r);
    return WEIR_OK;
}

static void apply_clock(sim *s, const fault_rule *r)
{
    if (r->kind == FAULT_SKEW)
        s->skew_ms = r->by_ms;
    if (r->kind == FAULT_CUT)
        s->options.life_ms = r->after_ms ? r->after_ms : DAY_MS;
}

weir_code faults_parse(sim *s, const char *text, weir_error *err)
{
    weir_error own = WEIR_ERROR_INIT;
    if (!err)
        err = &own;
    char *copy = strdup(text), *save = NULL;
    if (!copy)
        return error_set(err, WEIR_NOMEM, "faults: out of memory");
    size_t before = s->rule_count;
    err->code = WEIR_OK;
    for (char *one = strtok_r(copy, ",", &save); one && !err->code; one = strtok_r(NULL, ",", &save)) {
        fault_rule r = {0};
        if (s->rule_count == SIM_RULES_MAX)
            error_set(err, WEIR_LIMIT, "more than %u faults at once", SIM_RULES_MAX);
        else if (!parse_rule(&r, one, err)) {
            r.next_ms = s->now_ms + r.every_ms;
            s->rules[s->rule_count++] = r;
        }
    }
    free(copy);
    if (err->code) {
        s->rule_count = before;
        return err->code;
    }
    for (size_t i = before; i < s->rule_count; i++) {
        fault_of of = kinds[s->rules[i].kind].of;
        s->frame_faults |= of == OF_CONNECTION || of == OF_FRAME || of == OF_ALL_FRAMES;
        apply_clock(s, &s->rules[i]);
        for (list_node *n = s->clients.head.next; n != &s->clients.head; n = n->next) /* those already here begin anew */
            LIST_OWNER(n, client, node)->faults[i] = (fault_state){.next_ms = s->now_ms + s->rules[i].every_ms};
    }
    return WEIR_OK;
}

/* ---- Does it strike? ---- */

static bool strike(sim *s, fault_rule *r)
{
    if (r->times && r->struck >= r->times)
        return false;
    r->struck++;
    s->stats.faults++;
    return true;
}

static bool due_by_time(client *c, const fault_rule *r, fault_state *st)
{
    sim *s = c->sim;
    if (r->every_ms) {
        if (!st->next_ms)
            st->next_ms = c->opened_ms + r->every_ms;
        if (s->now_ms < st->next_ms)
            return false;
        st->next_ms = s->now_ms + r->every_ms;
        return true;
    }
    if (!r->after_ms || st->done || s->now_ms - c->opened_ms < r->after_ms)
        return false;
    st->done = true;
    return true;
}

static bool due_by_frame(client *c, const fault_rule *r, fault_state *st)
{
    st->frames++;
    if (r->every_n)
        return st->frames % r->every_n == 0;
    if (r->after_n) {
        bool now = !st->done && st->frames > r->after_n;
        st->done |= now;
        return now;
    }
    return r->p > 0 && rand_unit(&c->sim->chance) < r->p;
}

/* ---- What it does to a connection ---- */

static void hit_connection(client *c, const fault_rule *r)
{
    sim *s = c->sim;
    c->stalled = r->kind <= FAULT_HALF_OPEN; /* nothing is pushed to it any more, and nobody waits for it */
    if (c->stalled)
        sim_not_full(c);
    switch (r->kind) {
    case FAULT_DISCONNECT:
        server_ws_abort(c->ws);
        break;
    case FAULT_DROP:
        server_ws_drop(c->ws);
        break;
    case FAULT_CLOSE:
        server_ws_close(c->ws, r->status, BYTES("going away"));
        break;
    case FAULT_HALF_OPEN:
        server_ws_stall(c->ws, true);
        break;
    case FAULT_SILENCE:
        c->silent_until = s->now_ms + r->for_ms;
        break;
    default:
        for (uint64_t i = 0; i < r->count; i++) {
            server_ws_ping(c->ws, BYTES("flood"));
            if (c->speaks == DIALECT_V2)
                v2_ping(c);
        }
        break;
    }
}

void faults_tick(sim *s)
{
    for (size_t i = 0; i < s->rule_count; i++) {
        fault_rule *r = &s->rules[i];
        if (kinds[r->kind].of != OF_CONNECTION)
            continue;
        for (list_node *n = s->clients.head.next; n != &s->clients.head; n = n->next) {
            client *c = LIST_OWNER(n, client, node);
            if (c->ws && !c->stalled && due_by_time(c, r, &c->faults[i]) && strike(s, r))
                hit_connection(c, r);
        }
    }
}

uint64_t faults_next_ms(const sim *s)
{
    for (size_t i = 0; i < s->rule_count; i++)
        if (s->client_count && kinds[s->rules[i].kind].of == OF_CONNECTION && (s->rules[i].every_ms || s->rules[i].after_ms))
            return s->now_ms + 250;
    return UINT64_MAX;
}

/* ---- What it does to a frame ---- */

static void send_raw_frame(client *c, unsigned char first, bytes payload, uint64_t claimed)
{
    unsigned char head[10] = {first};
    size_t len = 2;
    if (claimed < 126) {
        head[1] = (unsigned char)claimed;
    } else if (claimed < 65536) {
        head[1] = 126;
        head[2] = (unsigned char)(claimed >> 8);
        head[3] = (unsigned char)claimed;
        len = 4;
    } else {
        head[1] = 127;
        for (int i = 0; i < 8; i++)
            head[2 + i] = (unsigned char)(claimed >> (56 - 8 * i));
        len = 10;
    }
    server_ws_raw(c->ws, bytes_make(head, len));
    server_ws_raw(c->ws, payload);
}

static void send_plain(client *c, bytes frame)
{
    sim *s = c->sim;
    s->stats.frames++;
    s->stats.octets += frame.len;
    server_ws_send(c->ws, false, frame);
}

/* One of the market's own, as it is. */
static void send_whole(client *c, bytes frame)
{
    sim_tell(c, frame, SIM_SENT);
    send_plain(c, frame);
}

static void send_huge(client *c, const feed *f, uint64_t size)
{
    buf big;
    buf_init(&big, 64 << 20);
    buf_add_fmt(&big, "{\"topic\":\"%s\",\"ts\":%llu,\"padding\":\"", f->topic, (unsigned long long)sim_stamp(c->sim));
    size_t end = size > big.len + 2 ? size - 2 : big.len;
    if (buf_reserve(&big, end - big.len + 2)) {
        memset(big.at + big.len, 'x', end - big.len);
        big.len = end;
        buf_add_text(&big, "\"}");
        send_plain(c, buf_bytes(&big));
    }
    buf_fini(&big);
}

/* Does it to this frame; true when the frame itself is thereby dealt with. */
static bool hit_frame(client *c, const feed *f, const fault_rule *r, bytes frame)
{
    sim *s = c->sim;
    bool spoilt = r->kind == FAULT_MALFORMED || r->kind == FAULT_BADJSON || r->kind == FAULT_BADUTF8;
    if (spoilt || r->kind == FAULT_BINARY)
        sim_tell(c, frame, spoilt ? SIM_LOST : SIM_ODD);
    switch (r->kind) {
    case FAULT_MALFORMED:
        send_raw_frame(c, 0xf3, frame, frame.len); /* all reserved bits, an opcode that is none */
        return true;
    case FAULT_BADJSON:
        send_plain(c, bytes_make(frame.at, frame.len - frame.len / 3));
        return true;
    case FAULT_BADUTF8:
        send_raw_frame(c, 0x81, BYTES("{\"topic\":\"\xff\xfe\xc0\"}"), 15);
        return true;
    case FAULT_BINARY:
        send_raw_frame(c, 0x82, frame, frame.len);
        return true;
    case FAULT_HUGE:
        send_huge(c, f, r->size);
        return false;
    case FAULT_DUP:
        send_whole(c, frame);
        return false;
    case FAULT_REORDER:
        if (c->held.len)
            return false;
        buf_add_bytes(&c->held, frame);
        return !c->held.failed;
    default:
        sim_tell(c, frame, SIM_LOST);
        s->stats.lost++;
        return true;
    }
}

bool faults_frame(client *c, const feed *f, bytes frame)
{
    sim *s = c->sim;
    bool done = false, was_held = c->held.len > 0;
    for (size_t i = 0; i < s->rule_count && !done; i++) {
        fault_rule *r = &s->rules[i];
        fault_of of = kinds[r->kind].of;
        if (of == OF_ALL_FRAMES)
            server_ws_pace(c->ws, (uint32_t)r->split, r->delay_ms * NS_PER_MS);
        if ((of != OF_CONNECTION && of != OF_FRAME) || (r->kind == FAULT_GAP && f->is.kind != FEED_BOOK_UPDATE))
            continue;
        bool due = due_by_frame(c, r, &c->faults[i]) || (of == OF_FRAME && due_by_time(c, r, &c->faults[i]));
        if (!due || !strike(s, r))
            continue;
        if (of == OF_CONNECTION)
            hit_connection(c, r);
        else
            done = hit_frame(c, f, r, frame);
        done |= c->stalled || c->silent_until > s->now_ms;
    }
    if (!done)
        send_whole(c, frame);
    if (was_held) {
        send_whole(c, buf_bytes(&c->held));
        buf_clear(&c->held);
    }
    sim_check_queue(c);
    return true;
}

/* ---- What it does to a request ---- */

typedef struct slow_reply { /* a body that trickles */
    list_node node;
    sim *sim;
    server_request *request; /* NULL: the peer has gone */
    timer timer;
    unsigned left;
    uint64_t pause_ns;
} slow_reply;

static void slow_reply_free(slow_reply *x)
{
    timer_stop(&x->timer);
    list_remove(&x->node);
    free(x);
}

static void slow_reply_gone(void *arg)
{
    slow_reply_free(arg);
}

static void slow_reply_next(void *arg)
{
    slow_reply *x = arg;
    x->left--;
    server_reply_raw(x->request, BYTES("          "), x->left == 0);
    if (x->left == 0)
        slow_reply_free(x);
    else
        timer_after(&x->timer, x->pause_ns);
}

static void reply_slowly(sim *s, server_request *r, uint64_t for_ms)
{
    slow_reply *x = calloc(1, sizeof *x);
    if (!x) {
        server_drop(r);
        return;
    }
    x->sim = s;
    x->request = r;
    x->left = 10;
    x->pause_ns = for_ms * NS_PER_MS / 10;
    timer_init(&x->timer, s->loop, slow_reply_next, x);
    list_push(&s->slow_replies, &x->node);
    server_on_gone(r, slow_reply_gone, x);
    server_reply_raw(r, BYTES("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 100\r\n\r\n"), false);
    timer_after(&x->timer, x->pause_ns);
}

static void reply_html(server_request *r, uint16_t status)
{
    http_header type = {BYTES("Content-Type"), BYTES("text/html; charset=UTF-8")};
    server_reply(r, status, &type, 1, BYTES("<!DOCTYPE html>\n<html><head><title>Error</title></head><body><h1>Bad gateway</h1></body></html>\n"));
}

static void hit_request(sim *s, server_request *r, const fault_rule *rule)
{
    http_header location = {BYTES("Location"), bytes_of(rule->to)};
    s->stats.refused++;
    switch (rule->kind) {
    case FAULT_429:
        s->stats.refused--; /* rest_error counts it */
        rest_error(s, r, 429, -1003, "Too many requests.");
        break;
    case FAULT_5XX:
    case FAULT_UPGRADE:
        s->stats.refused--;
        rest_error(s, r, rule->status, -1000, "An unknown error occurred while processing the request.");
        break;
    case FAULT_HTML:
        reply_html(r, rule->status);
        break;
    case FAULT_EMPTY:
        server_reply(r, 200, NULL, 0, BYTES(""));
        break;
    case FAULT_SLOWBODY:
        reply_slowly(s, r, rule->for_ms);
        break;
    case FAULT_CUTBODY:
        server_reply_raw(r, BYTES("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"success\":true,\"da"), true);
        break;
    case FAULT_REDIRECT:
        server_reply(r, 302, &location, 1, BYTES(""));
        break;
    case FAULT_HANG:
        break; /* the server's end, or the peer's patience, ends it */
    default:
        server_drop(r);
        break;
    }
}

static bool due_request(sim *s, fault_rule *r)
{
    r->seen++;
    if (r->kind == FAULT_REFUSE)
        return s->stats.connections >= r->after_n;
    if (r->every_n)
        return r->seen % r->every_n == 0;
    if (r->after_n)
        return r->seen > r->after_n;
    if (r->every_ms) {
        if (s->now_ms < r->next_ms)
            return false;
        r->next_ms = s->now_ms + r->every_ms;
        return true;
    }
    return rand_unit(&s->chance) < r->p;
}

bool faults_request(sim *s, server_request *r, bool upgrade)
{
    for (size_t i = 0; i < s->rule_count; i++) {
        fault_rule *rule = &s->rules[i];
        if (kinds[rule->kind].of != (upgrade ? OF_HANDSHAKE : OF_REPLY) || !due_request(s, rule) || !strike(s, rule))
            continue;
        hit_request(s, r, rule);
        return true;
    }
    return false;
}

void faults_free(sim *s)
{
    for (list_node *n = s->slow_replies.head.next, *next; n != &s->slow_replies.head; n = next) {
        next = n->next;
        slow_reply *x = LIST_OWNER(n, slow_reply, node);
        server_on_gone(x->request, NULL, NULL);
        slow_reply_free(x);
    }
}
