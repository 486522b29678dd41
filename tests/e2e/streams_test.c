/* Streams against the simulated venue: what is live, what goes wrong, what follows. Each test ends by
 * adding up the account. */
#include "tests/e2e/e2e.h"

#include "base/json.h"

typedef struct seen {
    e2e world;
    weir_plugin *plugin;
    weir_stream *stream;
    uint64_t data, gaps, status;
    uint64_t last_seq, seq_errors;
    char gap[2000], record[8000];
    uint64_t want;
    const char *neighbour; /* in the topic of records that are not looked at */
} seen;

static void on_record(void *arg, const weir_record *r)
{
    seen *s = arg;
    if (s->neighbour && strstr(r->topic, s->neighbour))
        return;
    switch (r->kind) {
    case WEIR_RECORD_DATA:
        s->data++;
        snprintf(s->record, sizeof s->record, "%.*s", (int)r->json_len, r->json);
        break;
    case WEIR_RECORD_GAP:
        s->gaps++;
        snprintf(s->gap, sizeof s->gap, "%.*s", (int)r->json_len, r->json);
        break;
    case WEIR_RECORD_STATUS:
        s->status++;
        return;
    }
    if (r->seq != s->last_seq + 1)
        s->seq_errors++;
    s->last_seq = r->seq;
}

static const sim_options fast = {.seed = 7, .tls = true, .rate = 50, .no_limits = true, .faults = ""};

static void begin(seen *s, const char *guest, const char *type, const char *identifier, const char *params, const sim_options *venue)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin_options o = WEIR_PLUGIN_OPTIONS_INIT;
    weir_sub *sub;
    *s = (seen){0};
    o.cpu_ms = 100;
    e2e_open(&s->world, venue ? venue : &fast);
    CHECK_OK(weir_plugin_load(&s->plugin, s->world.host, guest_path(guest), &o, &err));
    CHECK_OK(weir_subscribe(&sub, s->world.host, ">", on_record, s, &err));
    CHECK_OK(weir_stream_open(&s->stream, s->plugin, type, identifier, params, &err));
}

static bool enough(void *arg)
{
    seen *s = arg;
    return s->data >= s->want;
}

static void until_data(seen *s, uint64_t more)
{
    s->want = s->data + more;
    e2e_until(&s->world, enough, s, 20, "that many records");
}

static bool has_gap(void *arg)
{
    seen *s = arg;
    return s->gaps > 0;
}

static bool failed(void *arg)
{
    seen *s = arg;
    return weir_stream_get_state(s->stream) == WEIR_STREAM_FAILED;
}

static bool resting(void *arg)
{
    seen *s = arg;
    return weir_stream_get_state(s->stream) == WEIR_STREAM_WAITING && strstr(weir_stream_why(s->stream), "quarantine");
}

static bool closed(void *arg)
{
    seen *s = arg;
    return weir_stream_get_state(s->stream) == WEIR_STREAM_CLOSED;
}

static void end(seen *s)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_account a;
    if (!failed(s) && !closed(s)) {
        weir_stream_stop(s->stream);
        e2e_until(&s->world, closed, s, 5, "the stream's end");
    }
    while (weir_host_step(s->world.host, 0))
        ;
    weir_host_account(s->world.host, &a);
    CHECK(weir_host_account_check(s->world.host, &err));
    CHECK_UINT(a.published, a.delivered + a.dropped + a.queued);
    CHECK_UINT(a.dropped, 0);
    CHECK_UINT(s->seq_errors, 0);
    e2e_close(&s->world);
}

static const char trades[] = "trade@SPOT_BTC_USDT";

TEST(streams, an_honest_plugin_streams_and_stops_in_good_order)
{
    seen s;
    begin(&s, "streams.wasm", "raw", trades, NULL, NULL);
    until_data(&s, 20);
    CHECK_INT(weir_stream_get_state(s.stream), WEIR_STREAM_LIVE);
    CHECK_HAS(s.record, "\"topic\\\":\\\"trade@SPOT_BTC_USDT");
    weir_stream_stop(s.stream);
    e2e_until(&s.world, closed, &s, 2, "the end");
    CHECK_TEXT(weir_stream_why(s.stream), "stopped");
    end(&s);
}

TEST(streams, a_refusal_before_dialling_is_final)
{
    seen s;
    begin(&s, "streams.wasm", "raw", trades, "{\"behaviour\":\"refuse\"}", NULL);
    e2e_until(&s.world, failed, &s, 5, "the failure");
    CHECK_HAS(weir_stream_why(s.stream), "refused on purpose");
    end(&s);
}

TEST(streams, a_return_with_an_open_socket_brings_a_new_instance)
{
    seen s;
    weir_account a;
    begin(&s, "streams.wasm", "raw", trades, "{\"behaviour\":\"return\"}", NULL);
    do {
        weir_host_step(s.world.host, 50);
        weir_host_account(s.world.host, &a);
    } while (a.restarts < 3);
    end(&s);
}

TEST(streams, traps_in_a_row_end_in_quarantine_with_the_reason)
{
    seen s;
    begin(&s, "streams.wasm", "raw", trades, "{\"behaviour\":\"trap\"}", NULL);
    e2e_until(&s.world, resting, &s, 20, "the quarantine");
    CHECK_HAS(weir_stream_why(s.stream), "unreachable");
    CHECK(s.data >= 5); /* two of the first instance, then at least one of each */
    CHECK(s.gaps >= 4);
    CHECK_HAS(s.gap, "\"cause\":\"dropped\"");
    end(&s);
}

TEST(streams, a_spinning_plugin_is_stopped_and_others_go_on)
{
    seen s;
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin *neighbour; /* for a plugin in quarantine rests with all its streams */
    weir_stream *other;
    begin(&s, "streams.wasm", "raw", trades, "{\"behaviour\":\"spin\"}", NULL);
    s.neighbour = "SPOT_ETH_USDT";
    CHECK_OK(weir_plugin_load(&neighbour, s.world.host, guest_path("streams.wasm"), NULL, &err));
    CHECK_OK(weir_stream_open(&other, neighbour, "raw", "trade@SPOT_ETH_USDT", NULL, &err));
    e2e_until(&s.world, resting, &s, 30, "the quarantine");
    CHECK_HAS(weir_stream_why(s.stream), "used the CPU");
    CHECK_INT(weir_stream_get_state(other), WEIR_STREAM_LIVE);
    weir_stream_free(other);
    end(&s);
}

TEST(streams, a_plugin_that_ignores_stop_is_ended_by_force)
{
    seen s;
    begin(&s, "streams.wasm", "raw", trades, "{\"behaviour\":\"ignore_stop\"}", NULL);
    until_data(&s, 3);
    weir_stream_stop(s.stream);
    e2e_until(&s.world, closed, &s, 5, "the end");
    CHECK_HAS(weir_stream_why(s.stream), "by force");
    end(&s);
}

static bool some_time(void *arg)
{
    weir_account a;
    seen *s = arg;
    weir_host_account(s->world.host, &a);
    return a.received >= 10;
}

TEST(streams, records_under_a_foreign_key_are_refused)
{
    seen s;
    begin(&s, "streams.wasm", "raw", trades, "{\"behaviour\":\"wrong_key\"}", NULL);
    e2e_until(&s.world, some_time, &s, 10, "ten messages");
    CHECK_UINT(s.data, 0);
    end(&s);
}

TEST(streams, a_disconnect_leaves_a_gap_in_its_place_and_the_stream_goes_on)
{
    seen s;
    begin(&s, "streams.wasm", "raw", trades, NULL, NULL);
    until_data(&s, 5);
    e2e_fault(&s.world, "disconnect:after=10");
    e2e_until(&s.world, has_gap, &s, 20, "the gap");
    CHECK_HAS(s.gap, "\"cause\":\"disconnected\"");
    until_data(&s, 5);
    end(&s);
}

static void stream_every_type(const char *plugin)
{
    static const struct {
        const char *type, *identifier, *params, *has;
    } all[] = {
        {"ohlcv", "SPOT_BTC_USDT", "{\"timeframe\":\"1m\"}", "\"open\":"},
        {"trades", "SPOT_ETH_USDT", NULL, "\"price\":"},
        {"ticker", "SPOT_BTC_USDT", NULL, "\"volume\":"},
        {"bbo", "PERP_BTC_USDT", NULL, "\"bid\":"},
        {"orderbook", "PERP_BTC_USDT", NULL, "\"bids\":"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        seen s;
        begin(&s, plugin, all[i].type, all[i].identifier, all[i].params, NULL);
        until_data(&s, 3);
        CHECK_HAS(s.record, all[i].has);
        CHECK_HAS(s.record, all[i].identifier);
        end(&s);
    }
}

TEST(streams, the_woox_plugin_streams_every_type)
{
    stream_every_type("woox.wasm");
}

TEST(streams, the_woox_plugin_for_any_host_streams_every_type)
{
    stream_every_type("woox-portable.wasm");
}

TEST(streams, a_wrong_timeframe_is_refused_with_a_reason)
{
    seen s;
    begin(&s, "woox.wasm", "ohlcv", "SPOT_BTC_USDT", "{\"timeframe\":\"7m\"}", NULL);
    e2e_until(&s.world, failed, &s, 10, "the failure");
    CHECK_HAS(weir_stream_why(s.stream), "7m");
    end(&s);
}

TEST(streams, one_instance_cannot_use_the_socket_of_another)
{
    seen s;
    weir_error err = WEIR_ERROR_INIT;
    weir_plugin *thief;
    const weir_result *r;
    begin(&s, "streams.wasm", "raw", trades, NULL, NULL);
    until_data(&s, 1);
    CHECK_OK(weir_plugin_load(&thief, s.world.host, guest_path("foreign_id.wasm"), NULL, &err));
    weir_plugin_call_wait(thief, "use", "0123456789abcdef0123456789abcdef", 32, &r, &err);
    CHECK_TEXT(r->output, "0"); /* of its tries, none got anything */
    end(&s);
}
