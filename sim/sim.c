/* The simulated exchange's clock, its connections, its beginning and end.
 *
 * Simulated time moves in feeds_advance alone, which lets everything happen in order up to a moment.
 * A real clock calls it from a timer set for the next thing to happen; a stepped clock from sim_step;
 * the fastest clock from deferred work, a slice each turn. Heartbeats and rate limits go by real time
 * (a client answers in real time, however fast the market runs), except under a stepped clock.
 *
 * What can go wrong: a reader is slower than the market. Then the clock waits for it, unless the clock is
 * the real one: then the reader is cut off, as the exchange would do. */
#include "sim/inside.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>

#define SLICE 2000u /* events in one turn */
#define HOUSE_NS (250 * NS_PER_MS)

uint64_t sim_wall_ms(const sim *s)
{
    return s->options.clock == SIM_CLOCK_STEPPED ? s->now_ms : loop_now(s->loop) / NS_PER_MS;
}

uint64_t sim_stamp(const sim *s)
{
    return (uint64_t)((int64_t)s->now_ms + s->skew_ms);
}

/* Where a running clock stands. */
static uint64_t clock_target(sim *s)
{
    uint64_t passed = clock_mono() - s->origin_mono;
    return s->origin_ms + (uint64_t)((double)passed * s->options.speed / (double)NS_PER_MS);
}

/* ---- The clock ---- */

static void arm_tick(sim *s)
{
    uint64_t next = feeds_next_ms(s), fault = faults_next_ms(s);
    if (fault < next)
        next = fault;
    if (s->blocked || next == UINT64_MAX) {
        timer_stop(&s->tick);
        return;
    }
    uint64_t target = clock_target(s);
    double wait_ms = next > target ? (double)(next - target) / s->options.speed : 0;
    if (wait_ms > 1000)
        wait_ms = 1000;
    timer_after(&s->tick, (uint64_t)(wait_ms * (double)NS_PER_MS));
}

static void on_tick(void *arg)
{
    sim *s = arg;
    uint64_t target = clock_target(s);
    if (!s->blocked && target > s->now_ms)
        feeds_advance(s, target, SLICE);
    faults_tick(s);
    arm_tick(s);
}

static void on_pump(void *arg)
{
    sim *s = arg;
    if (s->blocked || s->finished || s->sub_count == 0)
        return;
    feeds_advance(s, s->now_ms + DAY_MS, SLICE);
    faults_tick(s);
    if (!s->blocked && !s->finished)
        defer(s->loop, &s->pump);
}

/* Brings a running clock up to this moment, before somebody looks at it. */
void sim_touch(sim *s)
{
    if (s->options.clock != SIM_CLOCK_REAL || s->blocked)
        return;
    uint64_t target = clock_target(s);
    if (target > s->now_ms)
        feeds_advance(s, target, SLICE);
}

void sim_pump_later(sim *s)
{
    if (s->ending)
        return;
    if (s->options.clock == SIM_CLOCK_MAX)
        defer(s->loop, &s->pump);
    else if (s->options.clock == SIM_CLOCK_REAL)
        timer_after(&s->tick, 0);
}

/* ---- Heartbeats and ages ---- */

/* Ends a connection as the venue does: no close frame, and not a word more. */
static void hang_up(client *c)
{
    c->stalled = true;
    sim_not_full(c);
    server_ws_drop(c->ws);
}

static void check_v2(client *c, uint64_t wall)
{
    if (wall - c->pinged_wall < c->sim->options.ping_ms)
        return;
    if (c->unanswered >= 10) {
        hang_up(c);
        return;
    }
    c->pinged_wall = wall;
    c->unanswered++;
    if (c->silent_until <= c->sim->now_ms)
        v2_ping(c);
}

static void check_client(client *c)
{
    sim *s = c->sim;
    uint64_t wall = sim_wall_ms(s);
    if (!c->ws || c->stalled)
        return;
    if (c->full && wall - c->full_wall > SIM_FULL_MS) {
        server_ws_abort(c->ws); /* it does not read at all; the others have waited long enough */
        return;
    }
    if (c->speaks == DIALECT_V2 || c->speaks == DIALECT_V2_PRIVATE)
        check_v2(c, wall);
    else if (wall - c->heard_wall >= s->options.silence_ms)
        hang_up(c);
    if (!c->stalled && s->options.life_ms && s->now_ms - c->opened_ms >= s->options.life_ms)
        hang_up(c);
}

static void house_keep(sim *s)
{
    for (list_node *n = s->clients.head.next, *next; n != &s->clients.head; n = next) {
        next = n->next;
        check_client(LIST_OWNER(n, client, node));
    }
}

static void on_house(void *arg)
{
    sim *s = arg;
    sim_touch(s);
    house_keep(s);
    timer_after(&s->house, HOUSE_NS);
}

/* A stepped clock goes in steps of a quarter second, so heartbeats fall where they would in real time. */
void sim_step(sim *s, uint64_t ms)
{
    uint64_t end = s->now_ms + ms;
    while (s->now_ms < end) {
        uint64_t to = (s->now_ms / 250 + 1) * 250;
        feeds_advance(s, to < end ? to : end, UINT64_MAX);
        faults_tick(s);
        house_keep(s);
    }
}

/* ---- Connections ---- */

/* The clock need not wait for this one any more. */
void sim_not_full(client *c)
{
    sim *s = c->sim;
    if (!c->full)
        return;
    c->full = s->blocked = false;
    for (list_node *n = s->clients.head.next; n != &s->clients.head; n = n->next)
        s->blocked |= LIST_OWNER(n, client, node)->full;
    if (!s->blocked)
        sim_pump_later(s);
}

static void client_gone(client *c)
{
    sim *s = c->sim;
    c->ws = NULL;
    list_remove(&c->node);
    s->client_count--;
    feed_drop_all(c);
    buf_fini(&c->held);
    sim_not_full(c);
    free(c);
}

static void on_ws_close(void *arg, uint16_t code, bytes reason)
{
    client *c = arg;
    log_debug("sim", "%s closed: %u " BYTES_FMT, c->ip, code, BYTES_ARG(reason));
    client_gone(c);
}

static void on_ws_message(void *arg, bool binary, bytes message)
{
    client *c = arg;
    c->heard_wall = sim_wall_ms(c->sim);
    if (c->stalled)
        return;
    sim_touch(c->sim);
    bytes text = binary ? BYTES("") : message;
    if (c->speaks == DIALECT_V3 || c->speaks == DIALECT_V3_PRIVATE)
        v3_on_text(c, text);
    else
        v2_on_text(c, text);
}

static void on_ws_ping(void *arg)
{
    client *c = arg;
    c->heard_wall = sim_wall_ms(c->sim);
}

static void on_ws_drain(void *arg)
{
    sim_not_full(arg);
}

client *sim_client_new(sim *s, server_request *r, dialect speaks)
{
    static const server_ws_events events = {on_ws_message, on_ws_drain, on_ws_close};
    client *c = calloc(1, sizeof *c);
    if (!c) {
        rest_error(s, r, 500, -1000, "out of memory");
        return NULL;
    }
    bytes peer = server_peer(r);
    const char *colon = memrchr(peer.at, ':', peer.len);
    snprintf(c->ip, sizeof c->ip, "%.*s", (int)(colon ? (size_t)(colon - peer.at) : peer.len), peer.at);
    bytes host = server_header(r, "host");
    snprintf(c->host, sizeof c->host, "%.*s", (int)(host.len < sizeof c->host ? host.len : sizeof c->host - 1), host.at ? host.at : "");
    c->sim = s;
    c->speaks = speaks;
    c->opened_ms = s->now_ms;
    c->heard_wall = c->pinged_wall = sim_wall_ms(s);
    list_init(&c->subs);
    buf_init(&c->held, 4 << 20);
    c->ws = server_upgrade(r, bytes_make(NULL, 0), &events, c);
    if (!c->ws) {
        s->stats.refused++;
        free(c);
        return NULL;
    }
    server_ws_on_ping(c->ws, on_ws_ping);
    list_push(&s->clients, &c->node);
    s->client_count++;
    c->number = ++s->stats.connections;
    sim_pump_later(s);
    return c;
}

/* ---- Frames to a connection ---- */

void sim_check_queue(client *c)
{
    sim *s = c->sim;
    size_t queued = server_ws_queued(c->ws);
    if (queued < SIM_QUEUE_HIGH || c->stalled)
        return;
    bool waits = s->options.clock == SIM_CLOCK_MAX || (s->options.clock == SIM_CLOCK_REAL && s->options.speed > 1);
    if (waits && !c->full)
        c->full_wall = sim_wall_ms(s);
    if (waits)
        c->full = s->blocked = true;
    else if (queued > SIM_QUEUE_CUT)
        server_ws_abort(c->ws);
}

void sim_tell(const client *c, bytes frame, sim_fate fate)
{
    const sim *s = c->sim;
    if (s->options.on_frame)
        s->options.on_frame(s->options.on_frame_arg, c->number, frame, fate);
}

void client_send(client *c, const feed *f, bytes frame)
{
    sim *s = c->sim;
    if (!c->ws || c->stalled)
        return;
    if (c->silent_until > s->now_ms) {
        sim_tell(c, frame, SIM_LOST);
        return;
    }
    c->frames++;
    if ((s->frame_faults || c->held.len) && faults_frame(c, f, frame))
        return;
    s->stats.frames++;
    s->stats.octets += frame.len;
    sim_tell(c, frame, SIM_SENT);
    server_ws_send(c->ws, false, frame);
    sim_check_queue(c);
}

void client_say(client *c, bytes text)
{
    if (c->ws && !c->stalled && c->silent_until <= c->sim->now_ms)
        server_ws_send(c->ws, false, text);
}

/* ---- Beginning and end ---- */

static weir_code start_server(sim *s, weir_error *err)
{
    const sim_options *o = &s->options;
    if (o->tls && cert_folder_make(&s->certs, o->folder, err))
        return err->code;
    server_options so = {
        .address = o->address,
        .port = o->port,
        .cert_file = o->tls ? s->certs.cert : NULL,
        .key_file = o->tls ? s->certs.key : NULL,
        .no_deflate = !o->deflate,
        .on_request = rest_on_request,
        .arg = s,
    };
    return server_new(&s->server, s->loop, &so, err);
}

static void set_defaults(sim *s)
{
    sim_options *o = &s->options;
    o->start_ms = o->start_ms ? o->start_ms : clock_real() / NS_PER_MS;
    o->speed = o->speed > 0 ? o->speed : 1;
    o->rate = o->rate > 0 ? o->rate : o->clock == SIM_CLOCK_MAX ? 1000
                                                                : 2;
    o->ping_ms = o->ping_ms ? o->ping_ms : 10000;
    o->silence_ms = o->silence_ms ? o->silence_ms : 60000;
    if (!o->life_ms && o->clock != SIM_CLOCK_MAX)
        o->life_ms = DAY_MS;
    snprintf(s->api_key, sizeof s->api_key, "%s", o->api_key ? o->api_key : "AbmyVJGUpN064ks5ELjLfA==");
    snprintf(s->api_secret, sizeof s->api_secret, "%s", o->api_secret ? o->api_secret : "QHKRXHPAW1MC9YGZMAT8YDJG2HPR");
    o->api_key = o->api_secret = NULL; /* the caller's */
    s->now_ms = s->origin_ms = o->start_ms;
    s->origin_mono = clock_mono();
    s->chance.state = o->seed ^ 0x66617578;
}

static weir_code sim_start(sim *s, weir_error *err)
{
    const sim_options *o = &s->options;
    venue_options vo = {.seed = o->seed, .rate = o->rate, .start_ms = o->start_ms, .history_days = o->history_days, .symbols = o->symbols};
    s->feeds = map_new();
    s->limits = map_new();
    s->sessions = map_new();
    if (!s->feeds || !s->limits || !s->sessions)
        return error_set(err, WEIR_NOMEM, "out of memory");
    if (venue_new(&s->venue, &vo, err) || (o->faults && faults_parse(s, o->faults, err)))
        return err->code;
    if (o->truth_file && !(s->truth = fopen(o->truth_file, "w")))
        return error_set(err, WEIR_SYSTEM, "truth file '%s': %s", o->truth_file, strerror(errno));
    return start_server(s, err);
}

weir_code sim_new(sim **out, loop *l, const sim_options *options, weir_error *err)
{
    weir_error own = WEIR_ERROR_INIT;
    if (!err)
        err = &own;
    sim *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, WEIR_NOMEM, "simulated exchange: out of memory");
    s->loop = l;
    s->options = *options;
    list_init(&s->clients);
    list_init(&s->actives);
    list_init(&s->wide);
    list_init(&s->slow_replies);
    buf_init(&s->scratch, 16 << 20);
    buf_init(&s->scratch2, 16 << 20);
    buf_init(&s->instruments, 16 << 20);
    timer_init(&s->tick, l, on_tick, s);
    timer_init(&s->house, l, on_house, s);
    s->pump = (deferred){.fn = on_pump, .arg = s};
    set_defaults(s);
    if (sim_start(s, err)) {
        sim_free(s);
        return error_wrap(err, "simulated exchange");
    }
    s->options.faults = s->options.truth_file = s->options.folder = s->options.address = NULL; /* the caller's */
    if (s->options.clock != SIM_CLOCK_STEPPED)
        timer_after(&s->house, HOUSE_NS);
    sim_pump_later(s);
    *out = s;
    return WEIR_OK;
}

void sim_free(sim *s)
{
    if (!s)
        return;
    s->ending = true;
    faults_free(s);
    server_free(s->server); /* closes the clients, which lets go of their feeds */
    timer_stop(&s->tick);
    timer_stop(&s->house);
    defer_cancel(&s->pump);
    free(s->due);
    map_free(s->feeds);
    limits_free(s);
    strict_free(s);
    venue_free(s->venue);
    if (s->truth)
        fclose(s->truth);
    cert_folder_remove(&s->certs);
    buf_fini(&s->scratch);
    buf_fini(&s->scratch2);
    buf_fini(&s->instruments);
    free(s);
}

void sim_disconnect(sim *s)
{
    for (list_node *n = s->clients.head.next; n != &s->clients.head; n = n->next) {
        client *c = LIST_OWNER(n, client, node);
        if (c->ws)
            server_ws_abort(c->ws);
    }
}

uint16_t sim_port(const sim *s)
{
    return server_port(s->server);
}

const char *sim_ca_file(const sim *s)
{
    return s->options.tls ? s->certs.ca : NULL;
}

uint64_t sim_now_ms(const sim *s)
{
    return s->now_ms;
}

sim_stats sim_get_stats(const sim *s)
{
    return s->stats;
}

size_t sim_clients(const sim *s)
{
    return s->client_count;
}

size_t sim_subscriptions(const sim *s)
{
    return s->sub_count;
}

bool sim_finished(const sim *s)
{
    return s->finished;
}

venue *sim_venue(sim *s)
{
    return s->venue;
}

weir_code sim_fault(sim *s, const char *faults, weir_error *err)
{
    weir_code code = faults_parse(s, faults, err);
    sim_pump_later(s);
    return code;
}

void sim_fault_clear(sim *s)
{
    s->rule_count = 0;
    s->frame_faults = false;
    s->skew_ms = 0;
}
