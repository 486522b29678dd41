/* Each fault, as a raw client sees it. */
#include "sim/sim.h"

#include "sim/raw_client.h"

#define START UINT64_C(1790000000000)
#define TRADES "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"trade@SPOT_BTC_USDT\"]}"
#define BOOKS "{\"id\":\"1\",\"cmd\":\"SUBSCRIBE\",\"params\":[\"orderbookupdate@SPOT_BTC_USDT@50\"]}"

static loop *l;
static sim *s;

static void begin(const char *faults)
{
    weir_error err = WEIR_ERROR_INIT;
    sim_options o = {.seed = 7, .start_ms = START, .clock = SIM_CLOCK_STEPPED, .faults = faults, .no_limits = true, .history_days = 2};
    CHECK_OK(loop_new(&l, &err));
    CHECK_OK(sim_new(&s, l, &o, &err));
}

static void end(void)
{
    sim_free(s);
    loop_free(l);
}

static raw *subscribed(const char *request)
{
    raw *c = raw_open(l, sim_port(s), "/v3/public");
    raw_send(c, request);
    CHECK_HAS(raw_next(c), "\"success\":true");
    return c;
}

static void step(raw *c, uint64_t ms)
{
    sim_step(s, ms);
    raw_settle(c);
}

/* Counts frames that are the same as the one before. */
static size_t doubles(const raw *c)
{
    size_t n = 0;
    for (size_t i = 2; i < c->count; i++)
        n += !strcmp(c->message[i], c->message[i - 1]);
    return n;
}

TEST(fault, ends_connections_in_four_ways)
{
    static const struct {
        const char *fault;
        bool ended;
        int reset;
        uint16_t code;
    } cases[] = {
        {"disconnect:after=5s", true, ECONNRESET, 0},
        {"drop:after=5s", true, 0, 0},
        {"close:after=5s:code=1012", true, 0, 1012},
        {"half-open:after=5s", false, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(cases[i].fault);
        raw *c = subscribed(TRADES);
        step(c, 4000);
        CHECK(!c->ended);
        CHECK(c->count > 2);
        step(c, 2000);
        size_t before = c->count;
        step(c, 3000);
        CHECK_UINT(c->count, before);
        CHECK(c->ended == cases[i].ended);
        CHECK_INT(c->reset, cases[i].reset);
        CHECK_UINT(c->close_code, cases[i].code);
        CHECK_UINT(sim_get_stats(s).faults, 1);
        raw_free(c);
        end();
    }
}

TEST(fault, disconnects_again_and_again_and_after_so_many_frames)
{
    begin("disconnect:every=30s");
    for (int i = 0; i < 3; i++) {
        raw *c = subscribed(TRADES);
        step(c, 29000);
        CHECK(!c->ended);
        step(c, 1500);
        CHECK(c->ended);
        raw_free(c);
    }
    end();
    begin("drop:after=10");
    raw *c = subscribed(TRADES);
    step(c, 20000);
    CHECK(c->ended);
    CHECK_UINT(c->count, 11); /* the acknowledgement and ten frames */
    raw_free(c);
    end();
}

TEST(fault, is_silent_for_a_while_and_speaks_again)
{
    begin("silence:after=5s:for=10s");
    raw *c = subscribed(TRADES);
    step(c, 6000);
    size_t before = c->count;
    step(c, 8000);
    CHECK_UINT(c->count, before);
    step(c, 5000);
    CHECK(c->count > before);
    raw_free(c);
    end();
}

TEST(fault, floods_with_pings)
{
    begin("pingflood:after=1s:count=500");
    raw *c = subscribed(TRADES);
    step(c, 2000);
    CHECK_UINT(c->pings, 500);
    raw_free(c);
    end();
}

TEST(fault, breaks_the_framing_or_the_text)
{
    static const struct {
        const char *fault;
        uint16_t code; /* what a client's codec makes of it */
    } cases[] = {{"malformed:every=5:times=1", 1002}, {"badutf8:every=5:times=1", 1007}};
    for (size_t i = 0; i < 2; i++) {
        begin(cases[i].fault);
        raw *c = subscribed(TRADES);
        step(c, 10000);
        CHECK_UINT(c->fail_code, cases[i].code);
        CHECK_UINT(c->count, 5);
        raw_free(c);
        end();
    }
}

TEST(fault, sends_bad_json_binary_and_huge_frames)
{
    weir_error err = WEIR_ERROR_INIT;
    json doc;
    begin("badjson:every=5:times=1");
    raw *c = subscribed(TRADES);
    step(c, 5000);
    CHECK(c->count > 8);
    for (size_t i = 1; i < c->count; i++)
        CHECK((json_read(&doc, bytes_of(c->message[i]), &err) != WEIR_OK) == (i == 5));
    raw_free(c);
    end();

    begin("binary:every=5:times=1");
    c = subscribed(TRADES);
    step(c, 5000);
    CHECK_UINT(c->binary, 1);
    raw_free(c);
    end();

    begin("huge:every=5:times=1");
    c = subscribed(TRADES);
    step(c, 5000);
    for (int i = 0; i < 200 && c->count < 6; i++) {
        loop_step(l, 1);
        raw_pump(c);
    }
    size_t huge = 0;
    for (size_t i = 0; i < c->count; i++)
        huge += strlen(c->message[i]) == 1024 * 1024;
    CHECK_UINT(huge, 1);
    raw_free(c);
    end();
}

TEST(fault, doubles_loses_and_reorders_frames)
{
    begin("dup:every=10");
    raw *c = subscribed(TRADES);
    step(c, 20000);
    CHECK_UINT(sim_get_stats(s).faults, doubles(c));
    CHECK(doubles(c) >= 3);
    raw_free(c);
    end();

    begin("lose:every=4");
    c = subscribed(TRADES);
    step(c, 20000);
    CHECK_UINT(c->count - 1 + sim_get_stats(s).lost, sim_get_stats(s).trades);
    CHECK_UINT(sim_get_stats(s).lost, sim_get_stats(s).trades / 4);
    raw_free(c);
    end();

    begin("reorder:every=7");
    c = subscribed(TRADES);
    step(c, 20000);
    size_t backwards = 0;
    for (size_t i = 2; i < c->count; i++)
        backwards += raw_u64(c->message[i], "data", "ts") < raw_u64(c->message[i - 1], "data", "ts");
    CHECK(backwards >= 3);
    CHECK(c->count - 1 + 1 >= sim_get_stats(s).trades); /* at most one is still held */
    raw_free(c);
    end();
}

TEST(fault, breaks_the_chain_of_book_updates)
{
    begin("gap:every=10");
    raw *c = subscribed(BOOKS);
    step(c, 20000);
    size_t gaps = 0;
    for (size_t i = 2; i < c->count; i++)
        gaps += raw_u64(c->message[i], "data", "prevTs") != raw_u64(c->message[i - 1], "data", "ts");
    CHECK(gaps > 0);
    CHECK_UINT(gaps, sim_get_stats(s).lost);
    raw_free(c);
    end();
}

TEST(fault, sends_frames_slowly_in_pieces)
{
    begin("slow:delay=1ms:split=7");
    raw *c = subscribed(TRADES);
    step(c, 1000);
    CHECK_UINT(c->count, 1); /* the acknowledgement; frames are still under way */
    for (int i = 0; i < 5000 && c->count < 1 + sim_get_stats(s).trades; i++) {
        loop_step(l, 2);
        raw_pump(c);
    }
    CHECK_UINT(c->count, 1 + sim_get_stats(s).trades);
    raw_free(c);
    end();
}

TEST(fault, answers_requests_wrongly)
{
    static const struct {
        const char *fault, *part;
    } cases[] = {
        {"429:p=1", "\"code\":-1003"},
        {"5xx:p=1:status=503", "HTTP/1.1 503 "},
        {"html:p=1", "<!DOCTYPE html>"},
        {"empty:p=1", "Content-Length: 0\r\n"},
        {"cutbody:p=1", "Content-Length: 500\r\n\r\n{\"success\":true,\"da"},
        {"redirect:p=1:to=https://evil.example:444/x", "\r\nLocation: https://evil.example:444/x\r\n"},
        {"slowbody:p=1:for=20ms", "Content-Length: 100\r\n\r\n    "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(cases[i].fault);
        CHECK_HAS(raw_get(l, sim_port(s), "/v3/public/systemInfo"), cases[i].part);
        end();
    }
    begin("429:every=3");
    size_t refused = 0;
    for (int i = 0; i < 9; i++)
        refused += strstr(raw_get(l, sim_port(s), "/v3/public/systemInfo"), " 429 ") != NULL;
    CHECK_UINT(refused, 3);
    end();
}

TEST(fault, leaves_no_trace_of_slow_answers_whose_asker_has_gone)
{
    begin("slowbody:p=1:for=10s");
    static const char ask[] = "GET /v3/public/systemInfo HTTP/1.1\r\nHost: h\r\n\r\n";
    for (int i = 0; i < 2; i++) {
        int fd = raw_dial(sim_port(s));
        CHECK(send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) > 0);
        for (int k = 0; k < 10; k++)
            loop_step(l, 1);
        close(fd);
        for (int k = 0; k < 10 * !i; k++) /* the second one is still open at the end */
            loop_step(l, 1);
    }
    end();
}

TEST(fault, refuses_connections_beyond_a_count_and_upgrades)
{
    begin("refuse:after=2");
    raw *a = subscribed(TRADES), *b = subscribed(TRADES), *c = raw_open(l, sim_port(s), "/v3/public");
    CHECK(c->ended);
    CHECK_TEXT(c->head, "");
    raw_free(a);
    raw_free(b);
    raw_free(c);
    end();
    begin("upgrade:status=503");
    c = raw_open(l, sim_port(s), "/v3/public");
    CHECK_HAS(c->head, "HTTP/1.1 503 ");
    raw_free(c);
    end();
}

TEST(fault, skews_the_clock_and_cuts_lives)
{
    begin("skew:by=-90s,cut:after=10s");
    CHECK_HAS(raw_body(l, sim_port(s), "/v3/public/systemInfo"), "\"timestamp\":1789999910000}");
    raw *c = subscribed(TRADES);
    step(c, 9000);
    CHECK(!c->ended);
    step(c, 1500);
    CHECK(c->ended);
    CHECK_INT(c->reset, 0);
    raw_free(c);
    end();
}

TEST(fault, can_be_added_and_cleared_while_running)
{
    weir_error err = WEIR_ERROR_INIT;
    begin(NULL);
    raw *c = subscribed(TRADES);
    step(c, 60 * 250);
    CHECK_UINT(doubles(c), 0);
    CHECK_OK(sim_fault(s, "dup:p=1", &err));
    step(c, 5000);
    size_t then = doubles(c);
    CHECK(then > 3);
    sim_fault_clear(s);
    step(c, 5000);
    CHECK_UINT(doubles(c), then);
    sim_disconnect(s);
    raw_settle(c);
    CHECK(c->ended);
    raw_free(c);
    end();
}

TEST(fault, says_what_is_wrong_with_a_list)
{
    static const char *const cases[][2] = {
        {"nonsense", "fault 'nonsense' is unknown"},
        {"dup:p=2", "fault 'dup': 'p=2' is no chance"},
        {"dup:p", "fault 'dup': 'p' lacks '=VALUE'"},
        {"dup:q=1", "fault 'dup': 'q' is no setting"},
        {"disconnect:every=30x", "'every=30x' is neither a count nor a duration"},
        {"disconnect:every=-3s", "'every=-3s' is neither"},
        {"redirect", "where to?"},
    };
    begin(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        weir_error err = WEIR_ERROR_INIT;
        CHECK_INT(sim_fault(s, cases[i][0], &err), WEIR_INVALID);
        CHECK_HAS(err.text, cases[i][1]);
    }
    end();
}
