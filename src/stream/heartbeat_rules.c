#include "stream/heartbeat_rules.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/clock.h"

#define MIN_MS 100
#define MAX_MS 3600000

typedef struct rule {
    url at;
    uint16_t port; /* 0: any */
    char *text;    /* what `beat` points into */
    heartbeat beat;
} rule;

struct heartbeat_rules {
    size_t count;
    rule list[];
};

static weir_code wrong(weir_error *err, const char *part, const char *right)
{
    return error_set(err, WEIR_INVALID, "'%.100s': %s", part, right);
}

/* "500ms", "20s", "2m" */
static weir_code read_time(uint32_t *ms, const char *text, weir_error *err)
{
    static const struct {
        const char *name;
        uint32_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}};
    char *end;
    unsigned long n = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
    for (size_t i = 0; n && n <= MAX_MS && i < sizeof units / sizeof *units; i++)
        if (!strcmp(end, units[i].name) && n * units[i].ms >= MIN_MS && n * units[i].ms <= MAX_MS) {
            *ms = (uint32_t)n * units[i].ms;
            return WEIR_OK;
        }
    return wrong(err, text, "expected a time from 100ms to 60m, such as 20s");
}

/* Takes the text in front of the next colon; NULL: there is none. */
static char *take(char **rest)
{
    char *at = *rest, *colon = at ? strchr(at, ':') : NULL;
    *rest = colon ? colon + 1 : NULL;
    if (colon)
        *colon = '\0';
    return at;
}

static weir_code read_messages(heartbeat *h, char *rest, bool plain, weir_error *err)
{
    const char *field = plain ? NULL : take(&rest), *ping = take(&rest), *pong = take(&rest);
    if (h->ping)
        return wrong(err, plain ? "text" : "app", "one kind of ping to an origin; there are two");
    if (!pong || !*ping || !*pong || (!plain && !*field))
        return wrong(err, plain ? "text" : "app", plain ? "expected text:PING:PONG[:TIME], such as text:ping:pong:20s" : "expected app:FIELD:PING:PONG[:TIME], such as app:event:ping:pong:15s");
    h->plain = plain;
    h->field = field;
    h->ping = ping;
    h->pong = pong;
    h->stamped = !plain;
    return rest ? read_time(&h->client_ping_ms, rest, err) : WEIR_OK;
}

static weir_code read_part(heartbeat *h, char *part, weir_error *err)
{
    char *rest = part;
    const char *kind = take(&rest);
    if (!strcmp(kind, "app") || !strcmp(kind, "text"))
        return read_messages(h, rest, *kind == 't', err);
    if (!strcmp(kind, "transport"))
        return rest ? read_time(&h->transport_ping_ms, rest, err) : wrong(err, kind, "how often? for example transport:20s");
    if (!strcmp(kind, "none") && !rest)
        return WEIR_OK;
    return wrong(err, kind, "expected app:FIELD:PING:PONG[:TIME], text:PING:PONG[:TIME], transport:TIME, or none");
}

/* An origin without a port means any. */
static bool names_port(const char *origin)
{
    const char *host = strstr(origin, "://") + 3, *end = host + strcspn(host, "/?");
    for (const char *at = end; at > host && at[-1] != ']'; at--)
        if (at[-1] == ':')
            return true;
    return false;
}

static weir_code read_rule(rule *r, weir_error *err)
{
    char *equals = strchr(r->text, '='), *save = NULL;
    if (!equals || equals == r->text || !equals[1 + strspn(equals + 1, ",")])
        return error_set(err, WEIR_INVALID, "expected ORIGIN=HEARTBEAT, such as wss://ws.okx.com=text:ping:pong:20s");
    *equals = '\0';
    if (url_read(&r->at, bytes_of(r->text), err))
        return err ? err->code : WEIR_INVALID;
    if (!r->at.websocket)
        return wrong(err, r->text, "an origin of sockets begins with wss:// or ws://");
    r->port = names_port(r->text) ? r->at.port : 0;
    for (char *part = strtok_r(equals + 1, ",", &save); part; part = strtok_r(NULL, ",", &save))
        if (read_part(&r->beat, part, err))
            return err ? err->code : WEIR_INVALID;
    uint32_t longest = r->beat.client_ping_ms > r->beat.transport_ping_ms ? r->beat.client_ping_ms : r->beat.transport_ping_ms;
    r->beat.silence_ms = longest ? 3 * longest : HEARTBEAT_SILENCE_MS;
    return WEIR_OK;
}

weir_code heartbeat_rules_read(heartbeat_rules **out, const char *const *texts, weir_error *err)
{
    size_t n = 0;
    weir_code code = WEIR_OK;
    *out = NULL;
    while (texts && texts[n])
        n++;
    if (!n)
        return WEIR_OK;
    heartbeat_rules *all = calloc(1, sizeof *all + n * sizeof *all->list);
    if (!all)
        return error_set(err, WEIR_NOMEM, "heartbeats: out of memory");
    for (size_t i = 0; !code && i < n; i++) {
        rule *r = &all->list[all->count++];
        if (!(r->text = strdup(texts[i])))
            code = error_set(err, WEIR_NOMEM, "out of memory");
        else
            code = read_rule(r, err);
        if (code)
            error_wrap(err, "heartbeat '%.200s'", texts[i]);
    }
    if (code)
        heartbeat_rules_free(all);
    else
        *out = all;
    return code;
}

void heartbeat_rules_free(heartbeat_rules *rules)
{
    for (size_t i = 0; rules && i < rules->count; i++) {
        url_fini(&rules->list[i].at);
        free(rules->list[i].text);
    }
    free(rules);
}

const heartbeat *heartbeat_rules_find(const heartbeat_rules *rules, bytes text)
{
    const heartbeat *found = NULL;
    url u;
    if (!rules || url_read(&u, text, NULL))
        return NULL;
    for (size_t i = 0; i < rules->count && !found; i++) {
        const rule *r = &rules->list[i];
        if (heartbeat_at(&u, bytes_of(r->at.host), r->port, buf_bytes(&r->at.path)))
            found = &r->beat;
    }
    url_fini(&u);
    return found;
}
