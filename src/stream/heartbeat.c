#include "stream/heartbeat.h"

#include "base/clock.h"
#include "base/json.h"

#define HEARTBEAT_MAX 200

/* What venues say of themselves, as of autumn 2026; where nothing is said, the host's own rhythm holds (a WebSocket
 * ping when half of the limit on silence is over). The first row that fits counts. */
static const heartbeat known[] = {
    /* WOO X: v1/v2 sends {"event":"ping"} every 10 s; v3 closes a socket whose client sent nothing for 60 s. */
    {.hosts = "wss.woox.io wss.staging.woox.io", .path = "/v3/", .field = "cmd", .ping = "PING", .pong = "PONG", .stamped = true, .client_ping_ms = 15000, .silence_ms = HEARTBEAT_SILENCE_MS},
    {.hosts = "wss.woox.io wss.staging.woox.io", .path = "/", .field = "event", .ping = "ping", .pong = "pong", .stamped = true, .silence_ms = HEARTBEAT_SILENCE_MS},
    /* OKX v5: closes a socket on which nothing was pushed for 30 s, unless the client sends the text ping, not JSON,
     * which is answered by the text pong. */
    {.hosts = "ws.okx.com wsaws.okx.com wseea.okx.com wsus.okx.com wspap.okx.com", .path = "/ws/v5/", .plain = true, .ping = "ping", .pong = "pong", .client_ping_ms = 20000, .silence_ms = HEARTBEAT_SILENCE_MS},
    /* Kraken: the client may ping, by "method" in v2 and by "event" in v1, and is answered. The venue's own heartbeats
     * (v2 {"channel":"heartbeat"}, v1 {"event":"heartbeat"}, each second without other news) want no answer and go to
     * the plugin. */
    {.hosts = "ws.kraken.com ws-auth.kraken.com beta-ws.kraken.com beta-ws-auth.kraken.com", .path = "/v2", .field = "method", .ping = "ping", .pong = "pong", .client_ping_ms = 30000, .silence_ms = HEARTBEAT_SILENCE_MS},
    {.hosts = "ws.kraken.com ws-auth.kraken.com beta-ws.kraken.com beta-ws-auth.kraken.com", .path = "/", .field = "event", .ping = "ping", .pong = "pong", .client_ping_ms = 30000, .silence_ms = HEARTBEAT_SILENCE_MS},
    /* Binance: WebSocket ping frames of the venue, every 20 s on spot (it waits a minute for the pong), every 3 minutes
     * on futures. So a spot socket that is silent for three of them is dead, and a futures socket has to be asked. */
    {.hosts = "stream.binance.com data-stream.binance.vision", .path = "/", .silence_ms = 3 * 20000},
    {.hosts = "fstream.binance.com dstream.binance.com", .path = "/", .transport_ping_ms = 20000, .silence_ms = HEARTBEAT_SILENCE_MS},
    /* Coinbase: no ping that needs an answer. Advanced Trade drops a subscription without news for 60 to 90 s unless the
     * plugin subscribes to the channel "heartbeats" (a message each second); that is the plugin's to do, and its
     * messages go there. */
    {.hosts = "advanced-trade-ws.coinbase.com ws-feed.exchange.coinbase.com", .path = "/", .transport_ping_ms = 20000, .silence_ms = HEARTBEAT_SILENCE_MS},
};
static const heartbeat unknown = {.silence_ms = HEARTBEAT_SILENCE_MS};

bool heartbeat_at(const url *u, bytes host, uint16_t port, bytes path)
{
    return bytes_is(host, u->host) && (!port || port == u->port) && bytes_starts(buf_bytes(&u->path), path);
}

static bool fits(const heartbeat *h, const url *u)
{
    for (const char *at = h->hosts; *at;) {
        size_t n = strcspn(at, " ");
        if (heartbeat_at(u, bytes_make(at, n), 0, bytes_of(h->path)))
            return true;
        at += n + (at[n] == ' ');
    }
    return false;
}

const heartbeat *heartbeat_for(bytes text)
{
    const heartbeat *found = &unknown;
    url u;
    if (url_read(&u, text, NULL))
        return found;
    for (size_t i = 0; i < sizeof known / sizeof *known && found == &unknown; i++)
        if (fits(&known[i], &u))
            found = &known[i];
    url_fini(&u);
    return found;
}

/* Most messages have no such member; to look for its name is cheaper than to read. An escape may hide it. */
static bool may_have(bytes message, const char *field)
{
    return memmem(message.at, message.len, field, strlen(field)) || memchr(message.at, '\\', message.len);
}

heartbeat_verdict heartbeat_read(const heartbeat *h, bytes message)
{
    json value;
    json_field want;
    if (!h->ping || message.len > HEARTBEAT_MAX)
        return HEARTBEAT_NONE;
    if (h->plain)
        return bytes_is(message, h->ping) ? HEARTBEAT_PING : bytes_is(message, h->pong) ? HEARTBEAT_PONG
                                                                                        : HEARTBEAT_NONE;
    if (!message.len || !may_have(message, h->field))
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
    if (h->plain) {
        buf_add_text(out, value);
        return;
    }
    buf_add_char(out, '{');
    json_put_member(out, h->field, bytes_of(value));
    if (h->stamped) {
        json_put_key(out, "ts");
        buf_add_u64(out, real_ns / NS_PER_MS);
    }
    buf_add_char(out, '}');
}

void heartbeat_write_pong(const heartbeat *h, buf *out, uint64_t real_ns)
{
    write(h, h->pong, out, real_ns);
}

void heartbeat_write_ping(const heartbeat *h, buf *out, uint64_t real_ns)
{
    write(h, h->ping, out, real_ns);
}
