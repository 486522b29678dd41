/* weir tail: records of a running daemon as they come, one a line.
 *
 * Nothing is lost while it runs: of each stream the number of the last record is kept, and a connection that breaks, a daemon
 * that restarts, or a reader that was too slow and was cut off, goes on behind these numbers, from the daemon's history.
 * Streams are told apart by their names, TOPIC@CONNECTION, and the daemon is asked by these.
 *
 * Who reads our output may be slow, or stand still: then the daemon's socket is not read on either, and when the daemon loses patience, what was
 * passed over comes from its history. Signals are heard all the while, so nothing here may wait in a write. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "cli/chart.h"
#include "cli/history.h"
#include "cli/noun.h"
#include "cli/remote.h"
#include "hub/topic.h"
#include "sink/text.h"

#define AGAIN_MIN_NS (250 * NS_PER_MS)
#define AGAIN_MAX_NS (5 * NS_PER_S)
#define PING_NS (15 * NS_PER_S)
#define SILENCE_NS (45 * NS_PER_S)
#define OUT_MAX (256u * 1024u) /* of lines that nobody takes; then the daemon is not read */
#define OUT_PIECE 4096u        /* a pipe that takes anything takes so much */

static void help(void)
{
    fputs("usage: weir tail PATTERN [OPTIONS]\n\n"
          "Records of a running weir serve as they come: on a terminal a short line each, else, and with --json, the records as\n"
          "they were published (NDJSON, docs/records.md). A connection that breaks is made again, and goes on where it\n"
          "was, without a loss; who reads slowly, or not for a while, misses nothing either, as long as the daemon's history\n"
          "reaches back (else that is said). PATTERN selects topics: '*' is one token, '>' at its end all that follow. Ctrl-C ends it.\n\n"
          "options\n"
          "  --from TIME            begin in the history: 2024-05-01T12:00:00Z, 10m (so long ago); then go on live\n"
          "  --connection WHICH     only of this connection, by number or name\n"
          "  --since-seq N          begin behind this number, where PATTERN is one topic; TOPIC=N for one of many, repeat;\n"
          "                         TOPIC@CONNECTION=N where two connections stream it\n"
          "  -n, --count N          end after N data records\n"
          "  -j, --json             records as they are, on a terminal, too\n" REMOTE_HELP
          "\nexamples\n"
          "  weir tail '>'\n"
          "  weir tail 'trades.>' --from 1h | jq -r .data.price\n"
          "  weir tail ohlcv.woox-datasource.SPOT_BTC_USDT.1m --since-seq 4711\n\n"
          "exit codes: 0 told to end, or --count; others as in 'weir --help'\n",
          stdout);
}

/* What is known of one stream: a topic of one connection. */
typedef struct mark {
    struct mark *next;
    uint64_t seq, ts;
    bool numbered; /* seq is of a record that was written, or was given by --since-seq */
    char name[];   /* TOPIC@CONNECTION; of --since-seq perhaps the topic alone */
} mark;

typedef struct tail {
    remote *remote;
    const char *pattern;
    ws_client *ws;
    timer again, alive;
    loop_signal *signals[2];
    map *marks; /* by name */
    mark *first;
    buf name, line;
    uint64_t connection;
    bool of_one; /* only of `connection` */
    buf out;     /* lines that standard output has not taken */
    size_t out_at;
    bool blocked;      /* the daemon's socket is not read, until they have gone */
    bool told;         /* to end, by a signal */
    uint64_t since_ns; /* what was before is not wanted */
    uint64_t left;     /* data records; 0: no limit */
    uint64_t backoff_ns;
    bool from_history, short_lines, colour;
    bool opened; /* once */
    bool lost;   /* said, and not connected since */
    bool over;
    size_t columns;
    int code;
} tail;

static void end(tail *t, int code)
{
    t->over = true;
    t->code = code;
    loop_stop(remote_loop(t->remote));
}

/* ---- What was seen ---- */

static mark *mark_of(tail *t, bytes name)
{
    mark *m = map_get(t->marks, name);
    if (m || !(m = calloc(1, sizeof *m + name.len + 1)))
        return m;
    if (name.len)
        memcpy(m->name, name.at, name.len);
    if (!map_set(t->marks, name, m, NULL)) {
        free(m);
        return NULL;
    }
    m->next = t->first;
    t->first = m;
    return m;
}

static bool put_seqs(buf *out, const tail *t)
{
    bool any = false;
    for (const mark *m = t->first; m; m = m->next) {
        if (!m->numbered)
            continue;
        buf_add_char(out, any ? ',' : '{');
        json_put_text(out, m->name);
        buf_add_fmt(out, ":\"%llu\"", (unsigned long long)m->seq);
        any = true;
    }
    if (any)
        buf_add_char(out, '}');
    return any;
}

static void subscribe(tail *t)
{
    weir_error err = WEIR_ERROR_INIT;
    buf out, seqs;
    buf_init(&out, 16u << 20);
    buf_init(&seqs, 16u << 20);
    /* disconnect: who is too slow is told so and goes on from the history; the other policies would drop records */
    buf_add_text(&out, "{\"op\":\"subscribe\",\"id\":\"tail\",\"policy\":\"disconnect\"");
    json_put_member(&out, "pattern", bytes_of(t->pattern));
    if (t->of_one)
        buf_add_fmt(&out, ",\"connection\":%llu", (unsigned long long)t->connection);
    bool numbered = put_seqs(&seqs, t);
    if (t->from_history || numbered)
        buf_add_fmt(&out, ",\"from\":\"%s\",\"since\":\"%llu\"", numbered ? "seq" : "time", (unsigned long long)t->since_ns);
    if (numbered) {
        json_put_key(&out, "seqs");
        buf_add_bytes(&out, buf_bytes(&seqs));
    }
    buf_add_char(&out, '}');
    t->from_history = true; /* from here on nothing may be missed */
    if (out.failed || seqs.failed || ws_client_send(t->ws, false, buf_bytes(&out), &err))
        end(t, cli_fail(EXIT_FAILED, "%s", err.code ? err.text : "out of memory"));
    buf_fini(&out);
    buf_fini(&seqs);
}

/* ---- Lines ---- */

typedef struct record_line {
    json kind, type, source, identifier, parameters, connection, seq, ts_out, data, state, why, cause, count;
} record_line;

static bool read_record(bytes text, record_line *l)
{
    json_field want[] = {{"kind", &l->kind}, {"type", &l->type}, {"source", &l->source}, {"identifier", &l->identifier}, {"parameters", &l->parameters}, {"connection", &l->connection}, {"seq", &l->seq}, {"ts_out", &l->ts_out}, {"data", &l->data}, {"state", &l->state}, {"why", &l->why}, {"cause", &l->cause}, {"count", &l->count}};
    return !json_read_fields(text, want, sizeof want / sizeof *want, NULL) && l->kind.type == JSON_STRING;
}

static void put_topic(buf *out, const record_line *l)
{
    json parts[] = {l->type, l->source, l->identifier}, key, value;
    buf token;
    buf_init(&token, 1 << 16);
    for (int i = 0; i < 3; i++) {
        buf_clear(&token);
        json_string_add(parts[i], &token);
        topic_add_token(out, buf_bytes(&token));
    }
    for (json_iter it = json_each(l->parameters); json_next(&it, &key, &value);) {
        if (value.type == JSON_NULL)
            continue;
        buf_clear(&token);
        if (!json_string_add(value, &token))
            buf_add_bytes(&token, value.raw);
        topic_add_token(out, buf_bytes(&token));
    }
    buf_fini(&token);
}

static void put_plain(buf *out, json value)
{
    buf raw;
    buf_init(&raw, 16u << 20);
    if (!json_string_add(value, &raw))
        buf_add_bytes(&raw, value.raw);
    log_escape(out, buf_bytes(&raw));
    buf_fini(&raw);
}

/* Time, stream, what it says; as wide as the terminal. */
static void print_short(tail *t, const record_line *l, bytes name, uint64_t ts)
{
    char when[CLOCK_RFC3339_SIZE] = "";
    bool gap = json_is(l->kind, "gap"), status = json_is(l->kind, "status");
    buf *out = &t->line, what;
    buf_init(&what, 16u << 20);
    clock_rfc3339(when, ts, 3);
    buf_add_fmt(&what, "%.12s ", when + 11);
    log_escape(&what, name);
    buf_add_char(&what, ' ');
    if (gap) {
        buf_add_text(&what, "GAP ");
        put_plain(&what, l->cause);
        buf_add_text(&what, l->count.type == JSON_NONE ? "" : ", missed ");
        put_plain(&what, l->count);
    } else if (status) {
        put_plain(&what, l->state);
        buf_add_text(&what, ": ");
        put_plain(&what, l->why);
    } else {
        put_plain(&what, l->data);
    }
    buf_clear(out);
    buf_add_text(out, t->colour && gap ? "\033[31m" : t->colour && status ? "\033[2m"
                                                                          : "");
    text_put(out, buf_bytes(&what), t->columns);
    buf_add_text(out, t->colour && (gap || status) ? "\033[0m\n" : "\n");
    buf_add_bytes(&t->out, buf_bytes(out));
    buf_fini(&what);
}

static void take_record(tail *t, bytes text)
{
    buf *name = &t->name;
    record_line l = {0};
    uint64_t seq, ts = 0;
    if (!read_record(text, &l))
        return;
    buf_clear(name);
    put_topic(name, &l);
    mark *given = map_get(t->marks, buf_bytes(name)); /* by --since-seq, of the topic */
    if (l.connection.type == JSON_NUMBER) {
        buf_add_char(name, '@');
        buf_add_bytes(name, l.connection.raw);
    }
    mark *m = name->failed ? NULL : mark_of(t, buf_bytes(name));
    if (!m) {
        end(t, cli_fail(EXIT_FAILED, "out of memory"));
        return;
    }
    bool numbered = json_text_u64(l.seq, &seq);
    if (given && given != m && given->numbered) { /* the stream's own number counts from now on */
        m->seq = given->seq;
        m->numbered = true;
        given->numbered = false;
    }
    json_text_u64(l.ts_out, &ts);
    if (numbered ? (m->numbered && seq <= m->seq) : ts && ts <= m->ts) /* it was written before */
        return;
    if (numbered) {
        m->seq = seq;
        m->numbered = true;
    }
    m->ts = ts > m->ts ? ts : m->ts;
    t->since_ns = ts > t->since_ns ? ts : t->since_ns;
    if (t->short_lines) {
        print_short(t, &l, buf_bytes(name), ts);
    } else {
        buf_add_bytes(&t->out, text);
        buf_add_char(&t->out, '\n');
    }
    if (t->left && json_is(l.kind, "data") && !--t->left)
        end(t, EXIT_FINE);
}

/* ---- The connection ---- */

static void connect_again(tail *t)
{
    t->backoff_ns = t->backoff_ns ? 2 * t->backoff_ns : AGAIN_MIN_NS;
    t->backoff_ns = t->backoff_ns > AGAIN_MAX_NS ? AGAIN_MAX_NS : t->backoff_ns;
    timer_after(&t->again, t->backoff_ns);
}

static void say_lost(tail *t, const char *why)
{
    if (!t->lost)
        fprintf(stderr, "weir: %s; trying again, and going on behind the last record\n", why);
    t->lost = true;
}

static void on_op(tail *t, json op, bytes text)
{
    json doc, why, complete;
    buf said;
    if (json_read(&doc, text, NULL))
        return;
    why = json_member(doc, json_is(op, "error") ? "text" : "why");
    complete = json_member(doc, "complete");
    buf_init(&said, 1 << 16);
    put_plain(&said, why);
    buf_add_char(&said, '\0');
    if (json_is(op, "error"))
        end(t, cli_fail(json_is(json_member(doc, "code"), "INVALID") ? EXIT_USAGE : EXIT_FAILED, "%s", said.at));
    else if (json_is(op, "seam") && complete.type == JSON_FALSE)
        fprintf(stderr, "weir: the history does not reach back to where this was to go on; records are missing here\n");
    else if (json_is(op, "unsubscribed"))
        subscribe(t); /* too slow: what was passed over comes from the history */
    buf_fini(&said);
}

static bool on_message(void *arg, bool binary, bytes text, uint64_t recv_ns)
{
    tail *t = arg;
    json op;
    json_field want[] = {{"op", &op}};
    (void)binary, (void)recv_ns;
    t->backoff_ns = 0;
    if (t->over)
        return true;
    if (t->out.len - t->out_at >= OUT_MAX) {
        t->blocked = true;
        return false; /* comes again when there is room */
    }
    if (bytes_starts(text, BYTES("{\"op\":")) && !json_read_fields(text, want, 1, NULL))
        on_op(t, op, text);
    else
        take_record(t, text);
    return true;
}

static void on_open(void *arg, bytes subprotocol)
{
    tail *t = arg;
    (void)subprotocol;
    if (t->lost)
        fprintf(stderr, "weir: connected again\n");
    t->lost = false;
    t->opened = true;
    timer_after(&t->alive, PING_NS);
    subscribe(t);
}

static void on_close(void *arg, uint16_t code, const weir_error *why, uint16_t http_status, uint32_t retry_after_s)
{
    tail *t = arg;
    weir_error err = WEIR_ERROR_INIT;
    char text[WEIR_ERROR_TEXT + 64];
    (void)retry_after_s;
    ws_client_free(t->ws);
    t->ws = NULL;
    timer_stop(&t->alive);
    if (!t->opened || http_status == 401 || http_status == 403 || http_status == 421) {
        weir_code judged = remote_judge_ws(t->remote, why, http_status, &err);
        end(t, cli_fail(remote_exit(judged), "%s", err.text));
        return;
    }
    if (code == 1009) {
        end(t, cli_fail(EXIT_FAILED, "'%s' selects so many topics that the daemon takes no list of their numbers; one of them after the other would work", t->pattern));
        return;
    }
    snprintf(text, sizeof text, "the connection was lost (%s)", code == 1001 ? "the daemon stops" : why && *why->text ? why->text
                                                                                                                      : "closed");
    say_lost(t, text);
    connect_again(t);
}

static void connect_now(void *arg)
{
    static const ws_client_events events = {on_open, on_message, NULL, on_close};
    tail *t = arg;
    weir_error err = WEIR_ERROR_INIT;
    if (remote_ws(t->remote, &t->ws, "/v1/records/ws", &events, t, &err))
        end(t, cli_fail(EXIT_FAILED, "%s", err.text));
}

/* A machine that went away without a word does not answer. */
static void on_alive(void *arg)
{
    tail *t = arg;
    if (!t->blocked && clock_mono() - ws_client_last_heard(t->ws) > SILENCE_NS) {
        ws_client_free(t->ws);
        t->ws = NULL;
        say_lost(t, "the daemon has not said anything for 45 s");
        connect_again(t);
        return;
    }
    ws_client_send(t->ws, false, BYTES("{\"op\":\"ping\"}"), NULL);
    timer_after(&t->alive, PING_NS);
}

static void on_signal(void *arg)
{
    ((tail *)arg)->told = true;
    end(arg, EXIT_FINE);
}

/* ---- Standard output ---- */

static size_t unwritten(const tail *t)
{
    return t->out.len - t->out_at;
}

/* Writes what is taken within `wait_ms` (-1: all of it), never waiting in the write itself. False: nobody will ever take it. */
static bool write_out(tail *t, int wait_ms)
{
    struct pollfd to = {.fd = STDOUT_FILENO, .events = POLLOUT};
    while (unwritten(t) && poll(&to, 1, wait_ms) > 0) {
        size_t piece = unwritten(t) < OUT_PIECE ? unwritten(t) : OUT_PIECE;
        ssize_t n = write(STDOUT_FILENO, t->out.at + t->out_at, piece);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        t->out_at += n > 0 ? (size_t)n : 0;
    }
    if (!unwritten(t)) {
        buf_clear(&t->out);
        t->out_at = 0;
    } else if (t->out_at > OUT_MAX) {
        buf_consume(&t->out, t->out_at);
        t->out_at = 0;
    }
    if (t->blocked && unwritten(t) < OUT_MAX / 2) {
        t->blocked = false;
        if (t->ws)
            ws_client_resume(t->ws);
    }
    return !t->out.failed;
}

/* For the daemon, or for room in standard output. */
static void wait_for_either(loop *l)
{
    struct pollfd both[] = {{.fd = loop_fd(l), .events = POLLIN}, {.fd = STDOUT_FILENO, .events = POLLOUT}};
    poll(both, 2, loop_timeout_ms(l));
}

static int end_out(tail *t, bool fine)
{
    errno = fine ? 0 : errno;
    if (fine)
        fine = write_out(t, t->told ? 0 : -1);
    if (!fine)
        return cli_fail(EXIT_FAILED, "standard output: %s", t->out.failed ? "out of memory" : strerror(errno));
    if (unwritten(t))
        fprintf(stderr, "weir: %zu octets of records were not written, since nobody reads them\n", unwritten(t));
    return t->code;
}

/* ---- The command ---- */

static int run(tail *t)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    weir_error err = WEIR_ERROR_INIT;
    loop *l = remote_loop(t->remote);
    for (int i = 0; i < 2; i++)
        if (signal_open(&t->signals[i], l, numbers[i], on_signal, t, &err))
            return cli_fail(EXIT_FAILED, "%s", err.text);
    timer_init(&t->again, l, connect_now, t);
    timer_init(&t->alive, l, on_alive, t);
    connect_now(t);
    bool fine = true;
    for (bool more = true; fine && !t->over; fine = write_out(t, 0)) {
        if (unwritten(t) && !more)
            wait_for_either(l);
        more = loop_step(l, unwritten(t) ? 0 : -1);
    }
    timer_stop(&t->again);
    timer_stop(&t->alive);
    if (t->ws)
        ws_client_free(t->ws);
    return end_out(t, fine);
}

/* "TOPIC=N", "TOPIC@CONNECTION=N", or N where the pattern is the topic. */
static bool take_seq(tail *t, const char *text)
{
    char *end;
    const char *equals = strrchr(text, '='), *digits = equals ? equals + 1 : text;
    bytes topic = equals ? bytes_make(text, (size_t)(equals - text)) : bytes_of(t->pattern);
    uint64_t seq = strtoull(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || *end || !topic.len)
        return cli_usage("tail", "--since-seq '%s': a number is wanted, or TOPIC=NUMBER", text), false;
    if (memchr(topic.at, '*', topic.len) || memchr(topic.at, '>', topic.len))
        return cli_usage("tail", "--since-seq '%s': '%s' is more than one topic; write TOPIC=NUMBER", text, t->pattern), false;
    mark *m = mark_of(t, topic);
    if (!m)
        return cli_fail(EXIT_FAILED, "out of memory"), false;
    m->seq = seq;
    m->numbered = true;
    return true;
}

typedef struct wish {
    remote_options where;
    cli_list seqs;
    const char *from, *connection;
    bool json;
} wish;

/* True: go on. */
static bool read_options(tail *t, wish *w, int argc, char **argv, int *code)
{
    static const struct option options[] = {{"from", required_argument, 0, 'f'}, {"since-seq", required_argument, 0, 's'}, {"connection", required_argument, 0, 'c'}, {"count", required_argument, 0, 'n'}, {"json", no_argument, 0, 'j'}, REMOTE_OPTIONS, {0, 0, 0, 0}};
    int option;
    char *end;
    while ((option = getopt_long(argc, argv, "n:jh", options, NULL)) != -1) {
        if (option == 'h') {
            help();
            return false;
        }
        w->json |= option == 'j';
        if (option == 'f')
            w->from = optarg;
        else if (option == 'c')
            w->connection = optarg;
        else if (option == 's')
            cli_add(&w->seqs, optarg);
        else if (option == 'n' && (!(t->left = strtoull(optarg, &end, 10)) || *end || *optarg == '-'))
            return *code = cli_usage("tail", "--count '%s': a number from 1 is wanted", optarg), false;
        else if (option != 'n' && option != 'j' && !remote_option(&w->where, option, optarg))
            return *code = cli_wrong_option("tail", argv), false;
    }
    weir_error err = WEIR_ERROR_INIT;
    if (argc - optind != 1)
        return *code = cli_usage("tail", argc == optind ? "of which topics? '>' is all" : "one pattern, please; '%s' is too much (quote it: '>' is the shell's, too)", argv[argc - 1]), false;
    t->pattern = argv[optind];
    if (topic_pattern_check(bytes_of(t->pattern), &err))
        return *code = cli_usage("tail", "%s", err.text), false;
    t->since_ns = clock_real();
    if (w->from && !history_time(w->from, t->since_ns, &t->since_ns))
        return *code = cli_usage("tail", "--from '%s': a time such as 2024-05-01T12:00:00Z or 10m (so long ago) is wanted", w->from), false;
    t->from_history = w->from != NULL;
    for (size_t i = 0; i < w->seqs.count; i++)
        if (!take_seq(t, w->seqs.at[i]))
            return *code = EXIT_USAGE, false;
    return true;
}

static bool find_connection(tail *t, const char *which, int *code)
{
    asked a = {.noun = "tail", .remote = t->remote};
    char id[24];
    if (!which)
        return true;
    if (!asked_connection(&a, which, id, code))
        return false;
    t->connection = strtoull(id, NULL, 10);
    return t->of_one = true;
}

static void tail_fini(tail *t)
{
    for (int i = 0; i < 2; i++)
        if (t->signals[i])
            signal_close(t->signals[i]);
    remote_close(t->remote);
    for (mark *m = t->first, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    map_free(t->marks);
    buf_fini(&t->name);
    buf_fini(&t->line);
    buf_fini(&t->out);
}

int cmd_tail(int argc, char **argv)
{
    tail t = {.marks = map_new()};
    wish w = {0};
    int code = EXIT_FINE;
    buf_init(&t.name, 16 * TOPIC_MAX);
    buf_init(&t.line, 16u << 20);
    buf_init(&t.out, 64u << 20);
    if (!t.marks)
        code = cli_fail(EXIT_FAILED, "out of memory");
    else if (read_options(&t, &w, argc, argv, &code) && (t.remote = remote_open(&w.where, &code)) && find_connection(&t, w.connection, &code)) {
        chart_size size = chart_size_now();
        t.short_lines = isatty(STDOUT_FILENO) && !w.json;
        t.colour = size.colour;
        t.columns = (size_t)size.columns;
        code = run(&t);
    }
    tail_fini(&t);
    free(w.seqs.at);
    return code;
}
