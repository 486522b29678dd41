/* See liveness.h. One timer for each stream; data moves nothing but two numbers, and the timer finds out when it
 * fires that it is not time yet. */
#include "stream/liveness.h"

#include <stdio.h>

#include "stream/inside.h"

#define PROBE_NS (10 * NS_PER_S)
#define ALONE_TIMES 32            /* what is far out of the ordinary, for a stream that nobody can be compared with */
#define ALONE_NS (900 * NS_PER_S) /* and at least */
#define TURN_NS NS_PER_S          /* between two streams of a plugin that subscribe anew: venues count connections */

/* How long an answer may take. Within the user's limit, if there is one. */
static uint64_t answer_ns(const stream *s)
{
    uint64_t limit = s->plugin->quiet_after_ms * NS_PER_MS;
    return limit && limit < 2 * PROBE_NS ? limit / 2 : PROBE_NS;
}

static double seconds(uint64_t ns)
{
    return (double)ns * 1e-9;
}

/* No other live stream of the plugin has a rhythm that is known, so none can be compared with. */
static bool alone(const stream *s)
{
    for (const list_node *n = s->plugin->streams.head.next; n != &s->plugin->streams.head; n = n->next) {
        const stream *other = LIST_OWNER(n, stream, among);
        if (other != s && other->state == STREAM_LIVE && rhythm_far(&other->life.rhythm) != RHYTHM_UNKNOWN)
            return false;
    }
    return true;
}

/* After how much silence a stream that is alone subscribes anew; RHYTHM_UNKNOWN: not at all. */
static uint64_t alone_ns(const stream *s)
{
    uint64_t limit = rhythm_far(&s->life.rhythm);
    if (s->life.renewed || limit == RHYTHM_UNKNOWN || !alone(s))
        return RHYTHM_UNKNOWN;
    return limit > ALONE_NS / ALONE_TIMES ? limit * ALONE_TIMES : ALONE_NS;
}

/* After how much silence something is to be done; RHYTHM_UNKNOWN: never. */
static uint64_t patience(const stream *s)
{
    const liveness *l = &s->life;
    uint64_t far, lone, next;
    if (s->plugin->quiet_after_ms == LIVENESS_NEVER)
        return RHYTHM_UNKNOWN;
    if (s->plugin->quiet_after_ms)
        return s->plugin->quiet_after_ms * NS_PER_MS - answer_ns(s);
    next = rhythm_suspicious(&l->rhythm);
    if (next == RHYTHM_UNKNOWN)
        return next;
    if (next <= l->asked)
        next = 2 * l->asked;
    far = rhythm_far(&l->rhythm);
    if (far > l->asked && far < next)
        next = far;
    lone = alone_ns(s);
    return lone > l->asked && lone < next ? lone : next;
}

static void arm(stream *s)
{
    uint64_t limit;
    if (s->state == STREAM_LIVE && (limit = patience(s)) != RHYTHM_UNKNOWN)
        timer_at(&s->life.watch, s->life.since + limit);
}

/* Another stream of the plugin speaks as it always does. */
static const stream *lively_sibling(const stream *s)
{
    uint64_t now = loop_now(s->plugin->loop);
    for (const list_node *n = s->plugin->streams.head.next; n != &s->plugin->streams.head; n = n->next) {
        const stream *other = LIST_OWNER(n, stream, among);
        const rhythm *r = &other->life.rhythm;
        uint64_t limit = rhythm_suspicious(r);
        if (other != s && other->state == STREAM_LIVE && limit != RHYTHM_UNKNOWN && r->last && now - r->last < limit)
            return other;
    }
    return NULL;
}

/* Dials and subscribes anew. May free the stream. */
static void cut(stream *s, const char *text)
{
    liveness *l = &s->life;
    weir_error why = WEIR_ERROR_INIT;
    error_set(&why, WEIR_TIMEOUT, "%s", text);
    rhythm_false_alarm(&l->rhythm); /* if nothing comes of it, the next time is later */
    if (!s->lost_from && l->data) { /* since the last data, not the last heartbeat */
        s->lost_from = l->data;
        s->lost_cause = RECORD_GAP_SILENCE;
    }
    s->route->cut(s, &why);
    stream_lose(s, RECORD_GAP_SILENCE, why.text, false);
}

/* A venue that forgets one topic may forget hundreds: one a second. */
static void cut_topic(stream *s, const char *text)
{
    liveness *l = &s->life;
    uint64_t now = loop_now(s->plugin->loop), turn = s->plugin->topic_cut ? s->plugin->topic_cut + TURN_NS : 0;
    if (now < turn) {
        l->probed = l->since + l->asked; /* judged again then, by the same answer */
        timer_at(&l->watch, turn);
        return;
    }
    s->plugin->topic_cut = now;
    l->renewed = true;
    cut(s, text);
}

/* The socket has answered: is it the topic or the market? */
static void judge(stream *s)
{
    liveness *l = &s->life;
    char text[WEIR_ERROR_TEXT / 2];
    const stream *sibling = lively_sibling(s);
    uint64_t quiet = loop_now(s->plugin->loop) - l->since;
    if (s->plugin->quiet_after_ms) {
        snprintf(text, sizeof text, "no data for %.1f s, though the venue answers; --quiet-after allows %.1f s: it is subscribed anew", seconds(quiet), s->plugin->quiet_after_ms * 1e-3);
        cut_topic(s, text);
        return;
    }
    if (l->asked >= rhythm_far(&l->rhythm) && sibling) {
        snprintf(text, sizeof text, "no data for %.1f s where there was some every %.1f s, though the venue answers and '%.200s' goes on: it is subscribed anew",
                 seconds(quiet), seconds(rhythm_usual(&l->rhythm)), record_stream_topic(sibling->records).at);
        cut_topic(s, text);
        return;
    }
    if (l->asked >= alone_ns(s)) {
        snprintf(text, sizeof text, "no data for %.1f s where there was some every %.1f s, though the venue answers, and no other stream to compare with: it is subscribed anew, once",
                 seconds(quiet), seconds(rhythm_usual(&l->rhythm)));
        cut_topic(s, text);
        return;
    }
    log_info("stream", "'%s': no data for %.1f s; the venue answers, so the market is quiet", record_stream_topic(s->records).at, seconds(quiet));
    arm(s);
}

static void probe(stream *s, uint64_t silence)
{
    liveness *l = &s->life;
    log_info("stream", "'%s': no data for %.1f s, which is out of the ordinary; the venue is asked whether it is there",
             record_stream_topic(s->records).at, seconds(silence));
    l->probed = loop_now(s->plugin->loop);
    s->route->probe(s);
    timer_after(&l->watch, answer_ns(s));
}

static void on_watch(void *arg)
{
    stream *s = arg;
    liveness *l = &s->life;
    uint64_t now = loop_now(s->plugin->loop), limit = patience(s);
    char text[WEIR_ERROR_TEXT / 2];
    if (s->state != STREAM_LIVE || limit == RHYTHM_UNKNOWN)
        return;
    if (!s->venue.open_sockets || s->route->queued(s) || hub_blocked(s->plugin->hub, s->records)) {
        liveness_live(s); /* whoever is silent, it is not the venue */
        return;
    }
    if (!l->probed) {
        if (now - l->since >= limit)
            probe(s, now - l->since);
        else
            arm(s);
        return;
    }
    if (s->route->heard(s) < l->probed) {
        snprintf(text, sizeof text, "no data for %.1f s, and nothing at all in %.1f s since the venue was asked", seconds(now - l->since), seconds(now - l->probed));
        cut(s, text);
        return;
    }
    l->asked = l->probed - l->since;
    l->probed = 0;
    judge(s);
}

void liveness_init(stream *s)
{
    timer_init(&s->life.watch, s->plugin->loop, on_watch, s);
}

void liveness_live(stream *s)
{
    liveness *l = &s->life;
    l->since = loop_now(s->plugin->loop);
    l->probed = l->asked = 0;
    rhythm_pause(&l->rhythm);
    timer_stop(&l->watch);
    arm(s);
}

void liveness_stop(stream *s)
{
    timer_stop(&s->life.watch);
    s->life.probed = 0;
}

void liveness_data(stream *s, uint64_t recv_ns)
{
    liveness *l = &s->life;
    uint64_t now = loop_now(s->plugin->loop);
    if (l->asked) { /* it was quiet, and not dead */
        rhythm_false_alarm(&l->rhythm);
        log_info("stream", "'%s': speaks again after %.1f s", record_stream_topic(s->records).at, seconds(now - l->since));
    }
    l->probed = l->asked = 0;
    l->renewed = false;
    l->since = now;
    if (recv_ns)
        l->data = recv_ns;
    rhythm_heard(&l->rhythm, now);
    if (!timer_running(&l->watch))
        arm(s);
}
