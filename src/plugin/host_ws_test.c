/* The streaming family as a plugin meets it, answer by answer. */
#include "plugin/testing.h"

#define TIMEOUT "{\"success\":true,\"timeout\":true}"
#define OK "{\"success\":true}"

static bool arrive(plug *s, const char *text)
{
    return socket_message(s, bytes_of(text), false, test_real);
}

/* ---- ws_connect ---- */

TEST(ws_connect, passes_headers_and_subprotocol_and_answers_an_id_nobody_can_guess)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_call(&f, "ws_connect", "{\"url\":\"wss://venue.example/\\u0077s\",\"headers\":{\"X-A\":\"1\",\"X-\\u0042\":\"t\\\"wo\"},\"subprotocol\":\"v1.json\"}", 0);
    CHECK_TEXT(f.url, "wss://venue.example/ws");
    CHECK_TEXT(f.headers, "X-A=1;X-B=t\"wo;");
    CHECK_TEXT(f.subprotocol, "v1.json");
    socket_opened(f.plug);
    fake_turn(&f);
    CHECK(f.over);
    CHECK_UINT(strlen(f.plug->id), 32);
    char first[PLUG_ID_SIZE];
    memcpy(first, f.plug->id, sizeof first);
    fake_connect(&f);
    CHECK(strcmp(first, f.plug->id) != 0);
    CHECK_UINT(f.task->socket_count, 2);
    fake_end(&f);
}

TEST(ws_connect, answers_refusals_and_failures_and_forgets_the_socket)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    f.open_code = WEIR_REFUSED;
    CHECK_TEXT(fake_ask(&f, "ws_connect", "{\"url\":\"wss://venue.example/\"}"), "{\"success\":false,\"error\":\"the fake world refuses\"}");
    f.open_code = WEIR_OK;
    fake_call(&f, "ws_connect", "{\"url\":\"wss://venue.example/\"}", 0);
    socket_closed(f.plug, &(weir_error){WEIR_NETWORK, "connection refused"});
    fake_turn(&f);
    CHECK_TEXT(text_of(&f.output), "{\"success\":false,\"error\":\"connection refused\"}");
    CHECK_UINT(f.task->socket_count, 0);
    CHECK(list_empty(&f.task->sockets));
    fake_end(&f);
}

TEST(ws_connect, gives_up_after_ten_seconds)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_call(&f, "ws_connect", "{\"url\":\"wss://venue.example/\"}", 0);
    fake_later(&f, 9999);
    CHECK(!f.over);
    fake_later(&f, 1);
    CHECK_TEXT(text_of(&f.output), "{\"success\":false,\"error\":\"ws_connect: no connection to 'wss://venue.example/' after 10 s\"}");
    CHECK_INT(f.closes, 1);
    fake_end(&f);
}

TEST(ws_connect, refuses_what_is_no_request)
{
    static const char *const bad[][2] = {
        {"", ""},
        {"{", ""},
        {"[]", ""},
        {"{}", "\\\"url\\\" is missing or no string"},
        {"{\"url\":7}", "\\\"url\\\" is missing or no string"},
        {"{\"url\":\"wss://x\",\"headers\":[]}", "neither an object nor null"},
        {"{\"url\":\"wss://x\",\"headers\":{\"a\":1}}", "is no string"},
    };
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *answer = fake_ask(&f, "ws_connect", bad[i][0]);
        CHECK_HAS(answer, "{\"success\":false,\"error\":\"");
        CHECK_HAS(answer, bad[i][1]);
    }
    CHECK_INT(f.opens, 0);
    fake_end(&f);
}

TEST(ws_connect, is_bounded_in_sockets_and_in_a_minute)
{
    fake f;
    policy_limits limits = policy_defaults;
    limits.sockets = 2;
    limits.connects_per_min = 3;
    fake_begin(&f, "ask.wasm", &limits);
    fake_connect(&f);
    fake_connect(&f);
    CHECK_HAS(fake_ask(&f, "ws_connect", "{\"url\":\"wss://x\"}"), "2 sockets are open already");
    CHECK_TEXT(fake_ask(&f, "ws_close", about(f.plug, "")), OK);
    fake_connect(&f);
    CHECK_TEXT(fake_ask(&f, "ws_close", about(f.plug, "")), OK);
    CHECK_HAS(fake_ask(&f, "ws_connect", "{\"url\":\"wss://x\"}"), "more than 3 connects in a minute");
    fake_later(&f, 20000);
    fake_connect(&f);
    fake_end(&f);
}

/* ---- ws_receive ---- */

TEST(ws_receive, gives_messages_in_order_then_waits_as_long_as_asked)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    CHECK_INT(f.receivings, 0);
    CHECK(arrive(f.plug, "{\"n\":1}"));
    CHECK(arrive(f.plug, "second"));
    CHECK_TEXT(fake_ask(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":5000")), "{\"success\":true,\"message\":\"{\\\"n\\\":1}\"}");
    CHECK_INT(f.receivings, 1);
    CHECK_UINT(f.task->recv_ns, test_real);
    CHECK_TEXT(fake_ask(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":5000")), "{\"success\":true,\"message\":\"second\"}");
    CHECK_INT(f.receivings, 1);
    fake_call(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":5000"), 0);
    fake_later(&f, 4999);
    CHECK(!f.over);
    fake_later(&f, 1);
    CHECK_TEXT(text_of(&f.output), TIMEOUT);
    fake_call(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":5000"), 0);
    CHECK(arrive(f.plug, "third"));
    fake_turn(&f);
    CHECK_TEXT(text_of(&f.output), "{\"success\":true,\"message\":\"third\"}");
    fake_end(&f);
}

TEST(ws_receive, without_a_time_or_with_a_long_one_waits_a_minute)
{
    static const char *const rests[] = {"", ",\"timeoutMs\":0", ",\"timeoutMs\":null", ",\"timeoutMs\":90000"};
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
        fake_call(&f, "ws_receive", about(f.plug, rests[i]), 0);
        fake_later(&f, 59999);
        CHECK(!f.over);
        fake_later(&f, 1);
        CHECK_TEXT(text_of(&f.output), TIMEOUT);
    }
    fake_end(&f);
}

TEST(ws_receive, with_minus_one_answers_at_once)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    CHECK_TEXT(fake_ask(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":-1")), TIMEOUT);
    CHECK(arrive(f.plug, "m"));
    CHECK_TEXT(fake_ask(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":-1")), "{\"success\":true,\"message\":\"m\"}");
    CHECK_HAS(fake_ask(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":\"soon\"")), "it is a whole number of milliseconds");
    fake_end(&f);
}

TEST(ws_receive, gives_binary_messages_as_text_or_base64)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    CHECK(socket_message(f.plug, BYTES("plain"), true, 1));
    CHECK(socket_message(f.plug, BYTES("\xff\x00\x01"), true, 1));
    CHECK(socket_message(f.plug, BYTES(""), false, 1));
    CHECK_TEXT(fake_ask(&f, "ws_receive", about(f.plug, "")), "{\"success\":true,\"message\":\"plain\"}");
    CHECK_TEXT(fake_ask(&f, "ws_receive", about(f.plug, "")), "{\"success\":true,\"binary\":true,\"message\":\"/wAB\"}");
    CHECK_TEXT(fake_ask(&f, "ws_receive", about(f.plug, "")), "{\"success\":true,\"message\":\"\"}");
    fake_end(&f);
}

/* What came before the close is still given; then errors come later and later: 0, 100 ms, 200 ms, up
 * to 3.2 s, so that a plugin that asks for ever does not spin. */
TEST(ws_receive, gives_a_message_raw_to_who_asks_for_it)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    for (int i = 0; i < 3; i++)
        CHECK(arrive(f.plug, "{\"n\":1}"));
    CHECK_TEXT(fake_ask(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":-1,\"raw\":true")), "={\"n\":1}");
    CHECK_TEXT(fake_ask(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":-1,\"raw\":false")), "{\"success\":true,\"message\":\"{\\\"n\\\":1}\"}");
    CHECK_TEXT(fake_ask(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":-1,\"raw\":1")), "{\"success\":true,\"message\":\"{\\\"n\\\":1}\"}");
    CHECK(arrive(f.plug, ""));
    CHECK(arrive(f.plug, "="));
    CHECK(inbox_put(&f.plug->in, BYTES("\xff"), true, 1));
    for (int i = 0; i < 2; i++)
        CHECK_TEXT(fake_ask(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":-1,\"raw\":true")), i ? "==" : "=");
    CHECK_HAS(fake_ask(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":-1,\"raw\":true")), "{\"success\":true,\"binary\":true,");
    CHECK_TEXT(fake_ask(&f, "ws_receive", about(f.plug, ",\"timeoutMs\":-1,\"raw\":true")), "{\"success\":true,\"timeout\":true}");
    fake_end(&f);
}

TEST(ws_receive, on_a_closed_socket_drains_it_and_then_answers_late)
{
    static const unsigned delays[] = {100, 200, 400, 800, 1600, 3200, 3200};
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    plug *s = f.plug;
    CHECK(arrive(s, "last words"));
    socket_closed(s, &(weir_error){WEIR_CLOSED, "code 1001"});
    CHECK_TEXT(fake_ask(&f, "ws_receive", about(s, "")), "{\"success\":true,\"message\":\"last words\"}");
    CHECK_TEXT(fake_ask(&f, "ws_receive", about(s, "")), "{\"success\":false,\"error\":\"ws_receive: code 1001\"}");
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        fake_call(&f, "ws_receive", about(s, ",\"timeoutMs\":-1"), 0);
        fake_later(&f, delays[i] - 1);
        CHECK(!f.over);
        fake_later(&f, 1);
        CHECK_TEXT(text_of(&f.output), "{\"success\":false,\"error\":\"ws_receive: code 1001\"}");
    }
    fake_end(&f);
}

TEST(ws_receive, ends_when_the_socket_closes_meanwhile)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    plug *s = f.plug;
    fake_call(&f, "ws_receive", about(s, ",\"timeoutMs\":5000"), 0);
    socket_closed(s, &(weir_error){WEIR_CLOSED, "hung up"});
    fake_turn(&f);
    CHECK_TEXT(text_of(&f.output), "{\"success\":false,\"error\":\"ws_receive: hung up\"}");
    fake_end(&f);
}

/* The first answer about an unknown id comes at once, further ones about the same late. */
TEST(ws_receive, of_an_unknown_id_is_refused_and_repeats_come_late)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    CHECK_HAS(fake_ask(&f, "ws_receive", "{\"connectionId\":\"nobody\"}"), "this instance has no connection '\\\"nobody\\\"'");
    fake_call(&f, "ws_receive", "{\"connectionId\":\"nobody\"}", 0);
    CHECK(!f.over);
    fake_later(&f, 100);
    CHECK(f.over);
    CHECK_HAS(fake_ask(&f, "ws_receive", "{\"connectionId\":\"another one, longer than any id that was ever given\"}"), "no connection");
    CHECK_HAS(fake_ask(&f, "ws_receive", "{\"connectionId\":7}"), "no connection");
    CHECK_HAS(fake_ask(&f, "ws_receive", "{}"), "no connection");
    CHECK_HAS(fake_ask(&f, "ws_send", "{\"connectionId\":\"nobody\",\"message\":\"m\"}"), "no connection");
    CHECK_HAS(fake_ask(&f, "ws_close", "{\"connectionId\":\"nobody\"}"), "no connection");
    fake_end(&f);
}

TEST(ws_receive, knows_no_connection_of_another_instance)
{
    ERR;
    fake f;
    task *other;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    char request[200];
    snprintf(request, sizeof request, "%s", about(f.plug, ",\"timeoutMs\":-1,\"message\":\"m\""));
    CHECK_OK(fake_task(&f, &other, NULL, &err));
    task *own = f.task;
    f.task = other;
    CHECK_HAS(fake_ask(&f, "ws_receive", request), "no connection");
    CHECK_HAS(fake_ask(&f, "ws_send", request), "no connection");
    CHECK_HAS(fake_ask(&f, "ws_close", request), "no connection");
    f.task = own;
    CHECK_TEXT(fake_ask(&f, "ws_receive", request), TIMEOUT);
    task_free(other);
    fake_end(&f);
}

/* Messages wait and nobody asks: the watchdog reads since when. A ws_receive counts as asking, even
 * when more messages wait than it takes. */
TEST(ws_receive, is_noted_for_the_watchdog)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    fake_later(&f, 1000);
    CHECK(arrive(f.plug, "1"));
    CHECK_UINT(f.plug->unread_since, test_mono);
    uint64_t since = test_mono;
    fake_later(&f, 1000);
    CHECK(arrive(f.plug, "2"));
    CHECK_UINT(f.plug->unread_since, since);
    fake_ask(&f, "ws_receive", about(f.plug, ""));
    CHECK_UINT(f.plug->in.count, 1);
    CHECK_UINT(f.plug->unread_since, test_mono);
    fake_end(&f);
}

/* ---- ws_send ---- */

TEST(ws_send, sends_the_message_verbatim)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    CHECK_TEXT(fake_ask(&f, "ws_send", about(f.plug, ",\"message\":\"{\\\"op\\\":\\\"sub\\\"}\"")), OK);
    CHECK_TEXT(fake_ask(&f, "ws_send", about(f.plug, ",\"message\":\"no escapes\"")), OK);
    CHECK_TEXT(text_of(&f.sent), "{\"op\":\"sub\"}\nno escapes\n");
    CHECK_HAS(fake_ask(&f, "ws_send", about(f.plug, "")), "\\\"message\\\" is missing or no string");
    CHECK_HAS(fake_ask(&f, "ws_send", about(f.plug, ",\"message\":{}")), "\\\"message\\\" is missing or no string");
    fake_end(&f);
}

TEST(ws_send, waits_while_the_peer_takes_nothing)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    f.send_code = WEIR_BUSY;
    fake_call(&f, "ws_send", about(f.plug, ",\"message\":\"m\""), 0);
    CHECK(!f.over);
    socket_drained(f.plug);
    fake_turn(&f);
    CHECK(!f.over); /* still full */
    f.send_code = WEIR_OK;
    socket_drained(f.plug);
    fake_turn(&f);
    CHECK_TEXT(text_of(&f.output), OK);
    CHECK_TEXT(text_of(&f.sent), "m\n");
    f.send_code = WEIR_BUSY;
    fake_call(&f, "ws_send", about(f.plug, ",\"message\":\"m\""), 0);
    fake_later(&f, 30000);
    CHECK_HAS(text_of(&f.output), "the peer took nothing for 30 s");
    fake_call(&f, "ws_send", about(f.plug, ",\"message\":\"m\""), 0);
    plug *s = f.plug;
    socket_closed(s, &(weir_error){WEIR_CLOSED, "reset"});
    fake_turn(&f);
    CHECK_HAS(text_of(&f.output), "the connection is closed: reset");
    CHECK_UINT(s->busy, 0);
    fake_end(&f);
}

TEST(ws_send, is_bounded)
{
    fake f;
    policy_limits limits = policy_defaults;
    limits.message = 10;
    fake_begin(&f, "ask.wasm", &limits);
    fake_connect(&f);
    CHECK_TEXT(fake_ask(&f, "ws_send", about(f.plug, ",\"message\":\"0123456789\"")), OK);
    CHECK_HAS(fake_ask(&f, "ws_send", about(f.plug, ",\"message\":\"01234567890\"")), "a message of 11 octets; at most 10 are taken");
    CHECK_INT(f.sends, 1);
    fake_end(&f);
}

/* ---- ws_close ---- */

TEST(ws_close, may_be_said_twice_and_counts_what_was_not_read)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    plug *s = f.plug;
    CHECK(arrive(s, "unread"));
    CHECK(arrive(s, "unread"));
    CHECK_TEXT(fake_ask(&f, "ws_close", about(s, "")), OK);
    CHECK_TEXT(fake_ask(&f, "ws_close", about(s, "")), OK);
    CHECK_INT(f.closes, 1);
    CHECK_UINT(f.task->socket_count, 0);
    CHECK_UINT(f.task->discarded, 2);
    CHECK_HAS(fake_ask(&f, "ws_receive", about(s, "")), "the plugin closed it");
    CHECK_HAS(fake_ask(&f, "ws_send", about(s, ",\"message\":\"m\"")), "the plugin closed it");
    fake_end(&f);
}

/* ---- publish_stream_data ---- */

#define KEY "{\"type\":\"ohlcv\",\"source\":\"woox\",\"identifier\":\"BTC\",\"parameters\":{},\"connectionId\":null}"

TEST(publish, passes_data_unchanged_with_the_time_of_its_message)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    fake_connect(&f);
    CHECK(socket_message(f.plug, BYTES("x"), false, 42));
    fake_ask(&f, "ws_receive", about(f.plug, ""));
    CHECK_TEXT(fake_ask(&f, "publish_stream_data", "{\"key\":" KEY ",\"data\":{\"p\":0.000000123456},\"timestamp\":\"1970-01-01T00:00:01Z\"}"), OK);
    CHECK_TEXT(text_of(&f.published), "ohlcv|woox|BTC|{\"p\":0.000000123456}|1000000000|42\n");
    fake_end(&f);
}

TEST(publish, waits_while_a_reader_is_full)
{
    fake f;
    fake_begin(&f, "ask.wasm", NULL);
    f.publish_code = WEIR_BUSY;
    fake_call(&f, "publish_stream_data", "{\"key\":" KEY ",\"data\":1}", 0);
    fake_later(&f, 3600000);
    CHECK(!f.over);
    f.publish_code = WEIR_OK;
    task_wake(f.task);
    fake_turn(&f);
    CHECK_TEXT(text_of(&f.output), OK);
    f.publish_code = WEIR_NOT_FOUND;
    CHECK_HAS(fake_ask(&f, "publish_stream_data", "{\"key\":" KEY ",\"data\":1}"), "{\"success\":false,\"error\":\"the fake world takes no record\"}");
    fake_end(&f);
}

TEST(publish, is_bounded)
{
    fake f;
    policy_limits limits = policy_defaults;
    limits.message = 20;
    fake_begin(&f, "ask.wasm", &limits);
    CHECK_HAS(fake_ask(&f, "publish_stream_data", "{\"key\":" KEY ",\"data\":1}"), "a record of ");
    CHECK_INT(f.publishes, 0);
    fake_end(&f);
}
