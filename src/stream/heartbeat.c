#include "stream/heartbeat.h"

#include "base/clock.h"
#include "base/json.h"

#define SILENCE_MS 60000
#define HEARTBEAT_MAX 200

/* WOO X: v1/v2 sends {"event":"ping"} every 10 s; v3 closes a socket whose client sent nothing for 60 s. */
static const heartbeat known[] = {
    {"wss.woox.io", "/v3/", "cmd", "PING", "PONG", 15000, 0, SILENCE_MS},
    {"wss.woox.io", "/", "event", "ping", "pong", 0, 0, SILENCE_MS},
    {"wss.staging.woox.io", "/v3/", "cmd", "PING", "PONG", 15000, 0, SILENCE_MS},
    {"wss.staging.woox.io", "/", "event", "ping", "pong", 0, 0, SILENCE_MS},
};
static const heartbeat unknown = {NULL, NULL, NULL, NULL, NULL, 0, 0, SILENCE_MS};

const heartbeat *heartbeat_for(bytes url)
{
    static const char *const schemes[] = {"wss://", "ws://"};
    for (size_t s = 0; s < 2; s++) {
        bytes scheme = bytes_of(schemes[s]);
        if (!bytes_starts(url, scheme))
            continue;
        bytes rest = {url.at + scheme.len, url.len - scheme.len};
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            bytes host = bytes_of(known[i].host), path = bytes_of(known[i].path);
            if (bytes_starts(rest, host) && bytes_starts((bytes){rest.at + host.len, rest.len - host.len}, path))
                return &known[i];
        }
    }
    return &unknown;
}

heartbeat_verdict heartbeat_read(const heartbeat *h, bytes message)
{
    json value;
    json_field want;
    if (!h->field || message.len > HEARTBEAT_MAX)
        return HEARTBEAT_NONE;
    want = (json_field){h->field, &value};
    if (json_read_fields(message, &want, 1, NULL))
        return HEARTBEAT_NONE;
    if (json_is(value, h->ping))
        return HEARTBEAT_PING;
    return json_is(value, h->pong) ? HEARTBEAT_PONG : HEARTBEAT_NONE;
}

static void write(const heartbeat *h, const char *value, buf *out, uint64_t real_ns)
{
    buf_clear(out);
    buf_add_fmt(out, "{\"%s\":\"%s\",\"ts\":%llu}", h->field, value, (unsigned long long)(real_ns / NS_PER_MS));
}

void heartbeat_write_pong(const heartbeat *h, buf *out, uint64_t real_ns)
{
    write(h, h->pong, out, real_ns);
}

void heartbeat_write_ping(const heartbeat *h, buf *out, uint64_t real_ns)
{
    write(h, h->ping, out, real_ns);
}
