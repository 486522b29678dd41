/* start_stream and stop_stream: the socket, its subscription, its heartbeat.
 *
 * start_stream connects, subscribes and then stays: it loops on ws_receive and publishes, for hours
 * or days, until stop_stream sets a flag. The host suspends us while we wait, so this costs nobody a
 * thread. stop_stream runs nested inside that wait: it must not wait itself and touches nothing that
 * the loop uses but the flag and the socket's name.
 *
 * What can go wrong: the venue refuses the topic (it says success with an empty list), the socket
 * closes, or it stays open and silent. Each ends start_stream with {"success":false,...} and 1. We do
 * not reconnect: the host starts the stream again, with its own pauses, and records the gap.
 */
#include "woox.h"

#define PING_EVERY_MS 15000   /* the venue hangs up on a client that says nothing for 60 s */
#define SILENT_AFTER_MS 60000 /* it answers every ping, so this much silence means a dead socket */
#define ACK_WITHIN_MS 15000
#define WAIT_MS 5000

typedef struct woox_stream {
    bool running, stopping, acknowledged;
    woox_key key;
    char topic[80], usual[112]; /* `usual`: how a frame of ours begins, {"topic":"…","ts": */
    size_t usual_len;
    weir_ws ws;
    weir_publisher out;
    woox_book book;
    uint64_t opened_ms, pinged_ms, heard_ms; /* by the host's clock; heard_ms as of the last look */
    uint64_t venue_ms;                       /* the venue's time when we last looked at the clock */
    unsigned unlooked;                       /* frames since then */
    bool heard;                              /* any at all */
    uint64_t odd;                            /* frames that made no record */
} woox_stream;

static woox_stream stream;

/* ---- The key ---- */

static bool keep(char *to, size_t size, weir_str from)
{
    if (from.len >= size)
        return false;
    weir_copy(to, from.at, from.len);
    to[from.len] = 0;
    return true;
}

/* The span of a candle stream or a book: checked, and spelled as the venue's topics do. */
static bool read_span(woox_key *key, weir_str parameters, weir_fail *fail)
{
    weir_str timeframe = {NULL, 0}, depth = {NULL, 0};
    weir_json_iter it = weir_json_each(parameters);
    const woox_timeframe *known;
    while (weir_json_next(&it)) {
        if (weir_is(it.key, "timeframe") || (weir_is(it.key, "interval") && !timeframe.len))
            timeframe = weir_json_raw(it.value);
        else if (weir_is(it.key, "depth"))
            depth = weir_json_decimal(it.value);
    }
    key->span[0] = 0;
    if (key->kind == WOOX_OHLCV) {
        known = woox_timeframe_find(timeframe.len ? timeframe : weir_text("1h"));
        if (!known)
            return weir_fail_set(fail, "unsupported timeframe '", timeframe, "'; get_timeframes lists those there are");
        keep(key->span, sizeof key->span, weir_text(known->topic));
    } else if (key->kind == WOOX_ORDERBOOK) {
        if (!depth.len)
            depth = weir_text("50");
        if (!weir_is(depth, "50") && !weir_is(depth, "200"))
            return weir_fail_set(fail, "unsupported depth '", depth, "'; there are 50 and 200");
        keep(key->span, sizeof key->span, depth);
    }
    return true;
}

/* Reads a StreamKey. */
static bool read_key(woox_key *key, weir_str json, weir_fail *fail)
{
    static const char *const types[] = {"ohlcv", "trades", "orderbook", "ticker", "bbo"};
    weir_str type = {NULL, 0}, source = {NULL, 0}, identifier = {NULL, 0}, parameters = {NULL, 0};
    weir_json_iter it = weir_json_each(json);
    int kind = 0;
    while (weir_json_next(&it)) {
        if (weir_is(it.key, "type"))
            type = weir_json_raw(it.value);
        else if (weir_is(it.key, "source"))
            source = weir_json_raw(it.value);
        else if (weir_is(it.key, "identifier"))
            identifier = weir_json_raw(it.value);
        else if (weir_is(it.key, "parameters"))
            parameters = it.value;
    }
    if (it.bad || weir_json_blank(it.at, it.end) != it.end)
        return weir_fail_set(fail, "the stream's key is no JSON object", weir_slice(NULL, 0), "");
    while (kind < 5 && !weir_is(type, types[kind]))
        kind++;
    if (kind == 5)
        return weir_fail_set(fail, "unknown stream type '", type, "'; there are ohlcv, trades, orderbook, ticker and bbo");
    if (!woox_symbol_ok(identifier))
        return weir_fail_set(fail, "'identifier' is '", identifier, "'; it wants a symbol like SPOT_BTC_USDT");
    if (!keep(key->source, sizeof key->source, source))
        return weir_fail_set(fail, "'source' is longer than 63 characters", weir_slice(NULL, 0), "");
    key->kind = (woox_kind)kind;
    keep(key->type, sizeof key->type, type);
    keep(key->symbol, sizeof key->symbol, identifier);
    return read_span(key, parameters, fail);
}

static bool same_key(const woox_key *a, const woox_key *b)
{
    return a->kind == b->kind && weir_is(weir_text(a->source), b->source) &&
           weir_is(weir_text(a->symbol), b->symbol) && weir_is(weir_text(a->span), b->span);
}

/* ---- Opening ---- */

static void name_topic(woox_stream *s)
{
    static const char *const channels[] = {"kline@", "trade@", "orderbookupdate@", "ticker@", "bbo@"};
    weir_buf b = weir_buf_over(s->topic, sizeof s->topic - 1);
    weir_put_text(&b, channels[s->key.kind]);
    weir_put_text(&b, s->key.symbol);
    if (s->key.span[0]) {
        weir_put_text(&b, "@");
        weir_put_text(&b, s->key.span);
    }
    s->topic[b.len] = 0;
    b = weir_buf_over(s->usual, sizeof s->usual);
    weir_put_text(&b, "{\"topic\":\"");
    weir_put_text(&b, s->topic);
    weir_put_text(&b, "\",\"ts\":");
    s->usual_len = b.len;
}

static bool open_stream(woox_stream *s, weir_fail *fail)
{
    char room[256];
    weir_buf b = weir_buf_over(room, sizeof room);
    name_topic(s);
    if (!weir_ws_connect(&s->ws, WOOX_SOCKET, weir_slice(NULL, 0), NULL, fail))
        return false;
    weir_put_text(&b, "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"");
    weir_put_text(&b, s->topic);
    weir_put_text(&b, "\"]}");
    if (!weir_ws_send(&s->ws, weir_buf_str(&b), fail))
        return false;
    s->acknowledged = false;
    s->opened_ms = s->pinged_ms = s->heard_ms = weir_time_ms();
    s->venue_ms = s->odd = s->unlooked = 0;
    s->heard = false;
    woox_book_reset(&s->book);
    return true;
}

/* ---- Heartbeat ---- */

static bool say(woox_stream *s, const char *cmd, uint64_t now, weir_fail *fail)
{
    char room[64];
    weir_buf b = weir_buf_over(room, sizeof room);
    weir_put_text(&b, "{\"cmd\":\"");
    weir_put_text(&b, cmd);
    weir_put_text(&b, "\",\"ts\":");
    weir_put_u64(&b, now);
    weir_put_text(&b, "}");
    return weir_ws_send(&s->ws, weir_buf_str(&b), fail);
}

/* Pings when it is time, and notices a silent socket. Asking the host for the time costs more than a
 * trade does, so it is asked only after a wait without a frame, when the venue's own time (in the
 * frames) has moved by a second, or after eight frames: at most 40 s can pass between two looks. */
static bool keep_alive(woox_stream *s, bool quiet, uint64_t venue_ms, weir_fail *fail)
{
    uint64_t now;
    if (!quiet) {
        s->heard = true;
        if (++s->unlooked < 8 && venue_ms < s->venue_ms + 1000)
            return true;
    }
    s->unlooked = 0;
    s->venue_ms = venue_ms ? venue_ms : s->venue_ms;
    now = weir_time_ms();
    if (s->heard || now < s->heard_ms)
        s->heard_ms = now;
    s->heard = false;
    if (!s->acknowledged && now - s->opened_ms >= ACK_WITHIN_MS)
        return weir_fail_set(fail, "WOO X did not answer the subscription to '", weir_text(s->topic), "' within 15 s");
    if (now - s->heard_ms >= SILENT_AFTER_MS)
        return weir_fail_set(fail, "WOO X has been silent for 60 s, though pinged: the connection is dead", weir_slice(NULL, 0), "");
    if (now - s->pinged_ms < PING_EVERY_MS)
        return true;
    s->pinged_ms = now;
    return say(s, "PING", now, fail);
}

/* ---- Frames ---- */

/* Notes a frame that made no record: the 1st, 2nd, 4th, 8th ... so that a venue gone mad does not
 * fill the log. */
static void note(woox_stream *s, const char *why)
{
    s->odd++;
    if ((s->odd & (s->odd - 1)) == 0)
        weir_log_record("warn", weir_text(why));
}

/* The answer to SUBSCRIBE. The list names the accepted topics only: ours is in it, or we were refused. */
static bool on_ack(woox_stream *s, bool success, weir_str data, weir_fail *fail)
{
    weir_json_iter it;
    if (success)
        for (it = weir_json_each(data); weir_json_next(&it);)
            if (weir_is(weir_json_raw(it.value), s->topic)) {
                s->acknowledged = true;
                return true;
            }
    weir_fail_set(fail, "WOO X refused the subscription to '", weir_text(s->topic), "': ");
    return weir_fail_add(fail, success ? weir_text("no such symbol or topic") : weir_json_raw(data));
}

static bool on_data(woox_stream *s, weir_str data, weir_fail *fail)
{
    weir_fail why;
    if (s->key.kind == WOOX_ORDERBOOK)
        return woox_book_delta(&s->book, &s->out, &s->key, data, fail);
    if (!woox_record(&s->out, &s->key, data, &why))
        note(s, why.text);
    return true;
}

/* A frame that does not begin as ours usually do: answers, pings, another order of members. */
static bool on_other(woox_stream *s, weir_str frame, weir_fail *fail)
{
    weir_str cmd = {NULL, 0}, topic = {NULL, 0}, data = {NULL, 0};
    weir_json_iter it = weir_json_each(frame);
    bool success = false;
    while (weir_json_next(&it)) {
        if (weir_is(it.key, "cmd"))
            cmd = weir_json_raw(it.value);
        else if (weir_is(it.key, "topic"))
            topic = weir_json_raw(it.value);
        else if (weir_is(it.key, "data"))
            data = it.value;
        else if (weir_is(it.key, "success"))
            success = weir_json_true(it.value);
    }
    if (it.bad) {
        note(s, "WOO X: a frame is no JSON object");
        return true;
    }
    if (weir_is(topic, s->topic))
        return on_data(s, data, fail);
    if (weir_is(cmd, "SUBSCRIBE") || (weir_is(cmd, "ERROR") && !s->acknowledged))
        return on_ack(s, success, data, fail);
    if (weir_is(cmd, "PING"))
        return say(s, "PONG", weir_time_ms(), fail);
    if (!weir_is(cmd, "PONG"))
        note(s, "WOO X: a frame of no known kind");
    return true;
}

/* One frame. *venue_ms becomes the time it names, when it is of the usual shape: then its data is
 * found without a walk over the envelope. */
static bool on_frame(woox_stream *s, weir_str frame, uint64_t *venue_ms, weir_fail *fail)
{
    const char *at = frame.at + s->usual_len, *end = frame.at + frame.len;
    *venue_ms = 0;
    if (weir_starts(frame, weir_slice(s->usual, s->usual_len))) {
        const char *digits = at;
        while (at < end && *at >= '0' && *at <= '9')
            at++;
        if (weir_json_u64(weir_slice(digits, (size_t)(at - digits)), venue_ms) &&
            weir_starts(weir_slice(at, (size_t)(end - at)), weir_text(",\"data\":{")))
            return on_data(s, weir_slice(at + 8, (size_t)(end - at) - 8), fail);
    }
    return on_other(s, frame, fail);
}

/* The life of the stream. True when it was stopped, false when it ended by itself. */
static bool run(woox_stream *s, weir_fail *fail)
{
    bool quiet = false, book = s->key.kind == WOOX_ORDERBOOK;
    weir_str frame;
    while (!s->stopping) {
        weir_ws_event event;
        uint64_t venue_ms = 0;
        int32_t wait = WAIT_MS;
        if (book && s->acknowledged) {
            if (!woox_book_step(&s->book, &s->out, &s->key, quiet, fail))
                return s->stopping;
            wait = woox_book_patience(&s->book);
        }
        if (s->stopping) /* stopped while the snapshot was fetched */
            break;
        event = weir_ws_receive(&s->ws, wait, &frame, fail);
        if (s->stopping)
            break;
        if (event == WEIR_WS_CLOSED)
            return false;
        quiet = event == WEIR_WS_TIMEOUT;
        if ((!quiet && !on_frame(s, frame, &venue_ms, fail)) || !keep_alive(s, quiet, venue_ms, fail))
            return s->stopping;
    }
    return true;
}

/* ---- The exports ---- */

WEIR_EXPORT(start_stream)
{
    static weir_buf out;
    weir_str input = weir_input();
    weir_fail fail = {""};
    bool stopped;
    if (stream.running)
        return weir_refuse("a stream is running in this instance; each has one");
    if (!read_key(&stream.key, input, &fail) || !weir_publish_open(&stream.out, input, &fail))
        return weir_refuse(fail.text);
    stream.running = true;
    stream.stopping = false;
    stopped = open_stream(&stream, &fail) && run(&stream, &fail);
    stopped = stopped || stream.stopping;
    weir_ws_close(&stream.ws, NULL);
    stream.running = false;
    if (!stopped)
        return weir_refuse(fail.text);
    weir_buf_clear(&out);
    weir_put_text(&out, "{\"success\":true,\"data\":{\"status\":\"started\",\"connectionId\":");
    weir_put(&out, stream.ws.id_len ? stream.ws.id : "\"\"", stream.ws.id_len ? stream.ws.id_len : 2);
    weir_put_text(&out, ",\"channel\":\"");
    weir_put_text(&out, stream.topic);
    weir_put_text(&out, "\"}}");
    return weir_reply(&out);
}

/* Runs nested while start_stream waits: marks and closes, nothing else. */
WEIR_EXPORT(stop_stream)
{
    static weir_buf in;
    woox_key key;
    weir_fail fail = {"the stream's key does not fit in memory"};
    if (!weir_input_read(&in) || !read_key(&key, weir_buf_str(&in), &fail))
        return weir_refuse(fail.text);
    if (!stream.running || !same_key(&key, &stream.key))
        return weir_refuse("stream not found");
    stream.stopping = true;
    weir_ws_close(&stream.ws, NULL);
    weir_output(weir_text("{\"success\":true,\"data\":{\"status\":\"stopped\"}}"));
    return 0;
}
