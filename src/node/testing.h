/* testing.h: a node in a folder of its own, a simulated venue on its loop, and questions that are waited for. */
#ifndef NODE_TESTING_H
#define NODE_TESTING_H

#include <ftw.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "host/embed.h"
#include "node/node.h"
#include "sim/sim.h"
#include "tests/lib/test.h"

typedef struct fixture {
    char dir[64];
    node *n;
    sim *venue;
    loop *venue_loop;
    char *json;
    char error[WEIR_ERROR_TEXT];
    bool created, answered;
    weir_code code;
} fixture;

static inline void on_fixture_answer(void *arg, weir_code code, bool created, bytes json, const char *error)
{
    fixture *t = arg;
    t->code = code;
    t->created = created;
    free(t->json);
    t->json = bytes_dup(json);
    snprintf(t->error, sizeof t->error, "%s", error);
    t->answered = true;
}

/* Turns both loops. */
static inline void fixture_turn(fixture *t)
{
    node_step(t->n, 2);
    if (t->venue_loop)
        loop_step(t->venue_loop, 0);
}

static inline weir_code ask_octets(fixture *t, const char *op, const char *id, const char *name, const char *query, bytes body)
{
    node_question q = {.op = op, .id = id, .name = name, .query = bytes_of(query), .body = body, .who = "test"};
    t->answered = false;
    node_ask(t->n, &q, on_fixture_answer, t);
    for (uint64_t until = clock_mono() + 60 * NS_PER_S; !t->answered;) {
        if (clock_mono() > until)
            test_fail(__FILE__, __LINE__, "%s: no answer in 60 s", op);
        fixture_turn(t);
    }
    return t->code;
}

static inline weir_code ask_it(fixture *t, const char *op, const char *id, const char *body)
{
    return ask_octets(t, op, id, NULL, "", bytes_of(body));
}

/* The node's options; the test may change them before fixture_start. */
static inline node_options fixture_options(fixture *t)
{
    static char overrides[3][128];
    static const char *list[4];
    node_options o = {.data_dir = t->dir, .name = "test", .history_flush_ms = 20};
    o.host = (weir_host_options)WEIR_HOST_OPTIONS_INIT;
    o.host.silence_ms = 60000;
    o.host.backoff_min_ms = 50;
    o.host.backoff_max_ms = 200;
    if (t->venue) {
        uint16_t port = sim_port(t->venue);
        snprintf(overrides[0], 128, "https://api.woox.io=http://127.0.0.1:%u", port);
        snprintf(overrides[1], 128, "https://api-pub.woox.io=http://127.0.0.1:%u", port);
        snprintf(overrides[2], 128, "wss://wss.woox.io=ws://127.0.0.1:%u", port);
        for (int i = 0; i < 3; i++)
            list[i] = overrides[i];
        o.host.overrides = list;
    }
    return o;
}

static inline void fixture_start(fixture *t)
{
    weir_error err = WEIR_ERROR_INIT;
    node_options o = fixture_options(t);
    CHECK_OK(node_new(&t->n, &o, &err));
    node_start(t->n);
}

static inline void fixture_open(fixture *t, const sim_options *venue)
{
    weir_error err = WEIR_ERROR_INIT;
    *t = (fixture){.dir = "/tmp/weir-node-XXXXXX"};
    CHECK(mkdtemp(t->dir) != NULL);
    if (venue) {
        CHECK_OK(loop_new(&t->venue_loop, &err));
        CHECK_OK(sim_new(&t->venue, t->venue_loop, venue, &err));
    }
    fixture_start(t);
}

static inline int fixture_remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s, (void)type, (void)f;
    return remove(path);
}

static inline void fixture_close(fixture *t)
{
    node_free(t->n);
    if (t->venue_loop) {
        sim_free(t->venue);
        loop_free(t->venue_loop);
    }
    free(t->json);
    nftw(t->dir, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void fixture_drained(void *arg, bool whole)
{
    fixture *t = arg;
    t->answered = true;
    t->created = whole;
}

static inline bool fixture_drain(fixture *t)
{
    t->answered = false;
    node_drain(t->n, 20000, fixture_drained, t);
    while (!t->answered)
        fixture_turn(t);
    return t->created;
}

/* As after a crash (the node is simply let go of), or after a stop in good order. */
static inline void fixture_restart(fixture *t, bool drained)
{
    if (drained)
        CHECK(fixture_drain(t));
    node_free(t->n);
    t->n = NULL;
    fixture_start(t);
}

static inline const char *fixture_guest(const char *name)
{
    static char path[512];
    const char *folder = getenv("WEIR_GUESTS");
    snprintf(path, sizeof path, "%s/%s.wasm", folder ? folder : "build/guests", name);
    return path;
}

static inline weir_code fixture_upload(fixture *t, const char *guest)
{
    weir_error err = WEIR_ERROR_INIT;
    buf octets;
    char query[128];
    buf_init(&octets, 64u << 20);
    CHECK_OK(file_read(&octets, fixture_guest(guest), &err));
    snprintf(query, sizeof query, "{\"file_name\":\"%s.wasm\"}", guest);
    weir_code code = ask_octets(t, "plugins.upload", NULL, NULL, query, buf_bytes(&octets));
    buf_fini(&octets);
    return code;
}

/* A member of the last answer, as text: a string decoded, else as it stands. Good until the next one. */
static inline const char *fixture_member(fixture *t, const char *name)
{
    static char text[4096];
    json doc;
    *text = '\0';
    if (t->json && !json_read(&doc, bytes_of(t->json), NULL)) {
        json v = json_member(doc, name);
        char *s = v.type == JSON_STRING ? json_string_dup(v) : bytes_dup(v.raw);
        snprintf(text, sizeof text, "%s", s ? s : "");
        free(s);
    }
    return text;
}

/* Turns until the thing's member has this value. */
static inline void fixture_until(fixture *t, const char *op, const char *id, const char *member, const char *value)
{
    for (uint64_t until = clock_mono() + 60 * NS_PER_S;;) {
        ask_it(t, op, id, NULL);
        if (!strcmp(fixture_member(t, member), value))
            return;
        if (clock_mono() > until)
            test_fail(__FILE__, __LINE__, "%s %s: %s is '%s', not '%s', after 60 s: %s", op, id ? id : "", member, fixture_member(t, member), value, t->json);
        for (int i = 0; i < 10; i++)
            fixture_turn(t);
    }
}

/* ---- What the history holds ---- */

typedef struct fixture_page {
    bool over;
    buf lines;
} fixture_page;

static inline void on_fixture_page(void *arg, const store_history_page *page)
{
    fixture_page *p = arg;
    buf_add_bytes(&p->lines, page->lines);
    p->over = true;
}

/* All records of a topic, oldest first; of this connection alone, if it is not NULL. */
static inline void fixture_history_of(fixture *t, const char *topic, const uint64_t *connection, fixture_page *p)
{
    store_history_query q = {.topic = topic, .connection = connection, .limit = 100000};
    *p = (fixture_page){.over = false};
    buf_init(&p->lines, 64u << 20);
    store_history_read(node_store(t->n), &q, on_fixture_page, p);
    while (!p->over)
        fixture_turn(t);
}

static inline uint64_t fixture_seq_of(json line)
{
    uint64_t seq = 0;
    json_text_u64(json_member(line, "seq"), &seq);
    return seq;
}

static inline void fixture_history(fixture *t, const char *topic, fixture_page *p)
{
    fixture_history_of(t, topic, NULL, p);
}

/* Each line to fn. */
static inline void fixture_lines_of(fixture *t, const char *topic, const uint64_t *connection, void (*fn)(void *arg, json line), void *arg)
{
    fixture_page p;
    fixture_history_of(t, topic, connection, &p);
    for (const char *at = p.lines.at, *end = at + p.lines.len; at && at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        json line;
        stop = stop ? stop : end;
        if (stop > at) {
            CHECK(!json_read(&line, bytes_make(at, (size_t)(stop - at)), NULL));
            fn(arg, line);
        }
        at = stop + 1;
    }
    buf_fini(&p.lines);
}

static inline void fixture_lines(fixture *t, const char *topic, void (*fn)(void *arg, json line), void *arg)
{
    fixture_lines_of(t, topic, NULL, fn, arg);
}

static inline void fixture_take_last(void *arg, json line)
{
    uint64_t *last = arg, seq = fixture_seq_of(line);
    if (seq > *last)
        *last = seq;
}

/* The last number there is, when there are at least so many. */
static inline uint64_t fixture_last_seq(fixture *t, const char *topic, uint64_t at_least)
{
    for (uint64_t until = clock_mono() + 60 * NS_PER_S;;) {
        uint64_t last = 0;
        fixture_lines(t, topic, fixture_take_last, &last);
        if (last >= at_least)
            return last;
        if (clock_mono() > until)
            test_fail(__FILE__, __LINE__, "%s: only %llu records after 60 s", topic, (unsigned long long)last);
    }
}

/* Where a run ended and the next one began. */
typedef struct fixture_seam {
    uint64_t known, last, last_before, first_seq, doubles;
    bool gap, data_behind;
    uint64_t gap_from, gap_to;
} fixture_seam;

static inline void fixture_take_seam(void *arg, json line)
{
    fixture_seam *s = arg;
    uint64_t seq = fixture_seq_of(line);
    if (!seq)
        return;
    s->doubles += seq <= s->last;
    if (!s->gap && seq >= s->known && json_is(json_member(line, "kind"), "gap") && json_is(json_member(line, "cause"), "restart")) {
        s->gap = true;
        s->last_before = s->last;
        s->first_seq = seq;
        json_text_u64(json_member(line, "from"), &s->gap_from);
        json_text_u64(json_member(line, "to"), &s->gap_to);
    } else if (s->gap) {
        s->data_behind = true;
    }
    s->last = seq;
}

/* Turns until data has come behind the seam. */
static inline fixture_seam fixture_read_seam(fixture *t, const char *topic, uint64_t known)
{
    for (uint64_t until = clock_mono() + 60 * NS_PER_S;;) {
        fixture_seam s = {.known = known};
        fixture_lines(t, topic, fixture_take_seam, &s);
        if (s.data_behind)
            return s;
        if (clock_mono() > until)
            test_fail(__FILE__, __LINE__, "%s: no gap with data behind it after 60 s; the last number is %llu", topic, (unsigned long long)s.last);
    }
}

/* Its files as the disk has them in this moment, while it runs. */
static inline void fixture_copy(fixture *t, char room[64])
{
    char command[512];
    snprintf(room, 64, "%s-crashed", t->dir);
    snprintf(command, sizeof command, "cp -r '%s' '%s' && rm -f '%s/lock'", t->dir, room, room);
    CHECK_INT(system(command), 0);
}

/* Another node on such a copy, as after a crash in that moment. */
static inline void fixture_go_on_from(fixture *t, const char *copy)
{
    char command[512];
    node_free(t->n);
    t->n = NULL;
    snprintf(command, sizeof command, "rm -rf '%s' && mv '%s' '%s'", t->dir, copy, t->dir);
    CHECK_INT(system(command), 0);
    fixture_start(t);
}

static inline void fixture_crash(fixture *t, char room[64])
{
    fixture_copy(t, room);
    fixture_go_on_from(t, room);
}

#endif
