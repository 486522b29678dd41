/* Subscriptions, and what happens in the market while somebody listens.
 *
 * A feed is one topic that at least one client has; its frames are written once and sent to each. An
 * active market is one with feeds: only its trades are made one by one. feeds_advance goes from event to
 * event (the next trade of any active market, the next multiple of 200 ms if books are watched, the
 * next second, the next minute's end), so order and content depend on the clock's value and not on
 * how it got there. At one moment bars end first, then trades happen, then books and figures follow. */
#include "sim/inside.h"

#include <stdlib.h>

/* ---- Finding and making ---- */

static bytes feed_key(buf *o, const feed_spec *is, bytes topic)
{
    buf_clear(o);
    buf_add_char(o, is->v2 ? '2' : '3');
    buf_add_bytes(o, topic);
    return buf_bytes(o);
}

static active *active_get(sim *s, market *m)
{
    if (m->listened)
        return m->listened;
    active *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->market = m;
    a->order = s->actives_made++;
    list_init(&a->feeds);
    list_init(&a->bars);
    market_seek(m, s->now_ms);
    if (!due_add(s, a)) {
        free(a);
        return NULL;
    }
    m->listened = a;
    a->minute_told = s->now_ms / MINUTE_MS;
    list_push(&s->actives, &a->node);
    return a;
}

static void active_put(sim *s, active *a)
{
    if (a->users)
        return;
    list_remove(&a->node);
    due_remove(s, a);
    a->market->listened = NULL;
    free(a);
}

static bar *bar_get(sim *s, active *a, const timeframe *tf)
{
    for (list_node *n = a->bars.head.next; n != &a->bars.head; n = n->next)
        if (LIST_OWNER(n, bar, node)->tf == tf)
            return LIST_OWNER(n, bar, node);
    bar *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->tf = tf;
    market_candle(a->market, tf, timeframe_start(tf, s->now_ms), s->now_ms, &b->now);
    list_push(&a->bars, &b->node);
    return b;
}

static void bar_put(bar *b)
{
    if (!b || b->users)
        return;
    list_remove(&b->node);
    free(b);
}

static bool is_book(const feed *f)
{
    return f->is.kind == FEED_BOOK || f->is.kind == FEED_BOOK_UPDATE || f->is.kind == FEED_BBO;
}

static uint32_t feed_depth(const feed *f)
{
    return f->is.kind == FEED_BBO ? 1 : f->is.depth;
}

static void feed_free(sim *s, feed *f)
{
    buf key;
    buf_init(&key, 256);
    map_remove(s->feeds, feed_key(&key, &f->is, bytes_of(f->topic)));
    buf_fini(&key);
    list_remove(&f->node);
    if (is_book(f))
        s->book_feeds--;
    if (f->bar)
        f->bar->users--;
    bar_put(f->bar);
    if (f->active) {
        f->active->users--;
        active_put(s, f->active);
    }
    free(f->last);
    free(f);
}

/* Ties a new feed to its market, bar and book. False when out of memory; feed_free mends. */
static bool feed_tie(sim *s, feed *f)
{
    if (is_book(f))
        s->book_feeds++;
    if (!f->is.market || f->is.kind == FEED_PRIVATE) {
        list_push(&s->wide, &f->node);
        return true;
    }
    f->active = active_get(s, f->is.market);
    if (!f->active)
        return false;
    f->active->users++;
    list_push(&f->active->feeds, &f->node);
    if (f->is.kind == FEED_KLINE) {
        f->bar = bar_get(s, f->active, f->is.tf);
        if (!f->bar)
            return false;
        f->bar->users++;
    }
    if (is_book(f)) {
        f->last = malloc(sizeof *f->last);
        if (!f->last)
            return false;
        market_book(f->is.market, s->now_ms, f->is.tight, feed_depth(f), f->last);
        f->last_ts = market_book_changed(f->is.market, s->now_ms, f->is.tight, feed_depth(f));
    }
    return true;
}

static feed *feed_get(sim *s, const feed_spec *is, bytes topic)
{
    buf key;
    buf_init(&key, 256);
    feed *f = map_get(s->feeds, feed_key(&key, is, topic));
    if (!f && topic.len < SIM_TOPIC_SIZE && (f = calloc(1, sizeof *f))) {
        f->is = *is;
        memcpy(f->topic, topic.at, topic.len);
        list_init(&f->subs);
        if (!map_set(s->feeds, buf_bytes(&key), f, NULL)) {
            free(f);
            f = NULL;
        } else if (!feed_tie(s, f)) {
            feed_free(s, f);
            f = NULL;
        }
    }
    buf_fini(&key);
    return f;
}

static void sub_free(sub *x)
{
    sim *s = x->client->sim;
    feed *f = x->feed;
    list_remove(&x->of_feed);
    list_remove(&x->of_client);
    x->client->topics--;
    s->sub_count--;
    strict_leave(x->client, bytes_of(f->topic));
    if (s->options.on_topic)
        s->options.on_topic(s->options.on_topic_arg, x->client->number, bytes_of(f->topic), false);
    free(x);
    if (--f->count == 0)
        feed_free(s, f);
}

static sub *client_sub(client *c, bytes topic)
{
    for (list_node *n = c->subs.head.next; n != &c->subs.head; n = n->next)
        if (bytes_is(topic, LIST_OWNER(n, sub, of_client)->feed->topic))
            return LIST_OWNER(n, sub, of_client);
    return NULL;
}

subscribe_result feed_subscribe(client *c, const feed_spec *is, bytes topic)
{
    sim *s = c->sim;
    if (client_sub(c, topic))
        return SUBSCRIBE_DOUBLE;
    if (c->topics >= SIM_TOPICS_MAX && !s->options.no_limits)
        return SUBSCRIBE_FULL;
    if (!strict_enter(c, topic))
        return SUBSCRIBE_FULL;
    sub *x = calloc(1, sizeof *x);
    feed *f = x ? feed_get(s, is, topic) : NULL;
    if (!f) {
        strict_leave(c, topic);
        free(x);
        return SUBSCRIBE_NOMEM;
    }
    x->feed = f;
    x->client = c;
    f->count++;
    list_push(&f->subs, &x->of_feed);
    list_push(&c->subs, &x->of_client);
    c->topics++;
    s->sub_count++;
    if (s->options.on_topic)
        s->options.on_topic(s->options.on_topic_arg, c->number, topic, true);
    sim_pump_later(s);
    return SUBSCRIBED;
}

bool feed_unsubscribe(client *c, bytes topic)
{
    sub *x = client_sub(c, topic);
    if (x)
        sub_free(x);
    return x != NULL;
}

void feed_drop_all(client *c)
{
    while (!list_empty(&c->subs))
        sub_free(LIST_OWNER(c->subs.head.next, sub, of_client));
}

/* ---- Pushing ---- */

/* Sends what lies in scratch to every subscriber. */
static void feed_send(sim *s, feed *f)
{
    if (s->scratch.failed)
        return;
    for (list_node *n = f->subs.head.next; n != &f->subs.head; n = n->next)
        client_send(LIST_OWNER(n, sub, of_feed)->client, f, buf_bytes(&s->scratch));
    if (s->options.frames && s->stats.frames >= s->options.frames)
        s->finished = true;
}

#define WRITE(s, f, what, ...) \
    (buf_clear(&(s)->scratch), (f)->is.v2 ? v2_push_##what((s), &(s)->scratch, (f), ##__VA_ARGS__) : v3_push_##what((s), &(s)->scratch, (f), ##__VA_ARGS__), feed_send((s), (f)))

static void push_trade(sim *s, active *a, const trade *t)
{
    for (list_node *n = a->bars.head.next; n != &a->bars.head; n = n->next)
        candle_add_trade(&LIST_OWNER(n, bar, node)->now, t);
    for (list_node *n = a->feeds.head.next; n != &a->feeds.head && !s->finished; n = n->next) {
        feed *f = LIST_OWNER(n, feed, node);
        if (f->is.kind == FEED_TRADE)
            WRITE(s, f, trade, t);
        else if (f->is.kind == FEED_KLINE)
            WRITE(s, f, kline, &f->bar->now);
    }
    s->stats.trades++;
}

static void write_truth(sim *s, const market *m, const timeframe *tf, const candle *c)
{
    if (!s->truth || c->count == 0)
        return;
    buf *o = &s->scratch;
    buf_clear(o);
    buf_add_fmt(o, "{\"symbol\":\"%s\",\"type\":\"%s\",\"startTimestamp\":%llu,\"endTimestamp\":%llu,\"open\":\"", m->symbol, tf->name,
                (unsigned long long)c->start, (unsigned long long)c->end);
    put_price(o, m, c->open);
    buf_add_text(o, "\",\"high\":\"");
    put_price(o, m, c->high);
    buf_add_text(o, "\",\"low\":\"");
    put_price(o, m, c->low);
    buf_add_text(o, "\",\"close\":\"");
    put_price(o, m, c->close);
    buf_add_text(o, "\",\"volume\":\"");
    put_volume(o, m, c->volume);
    buf_add_text(o, "\",\"amount\":\"");
    put_amount(o, m, c->amount);
    buf_add_fmt(o, "\",\"count\":%llu}\n", (unsigned long long)c->count);
    if (!o->failed)
        fwrite(o->at, 1, o->len, s->truth);
    fflush(s->truth);
    s->stats.candles++;
}

/* A bar has ended: its last state once more, then the next one begins, empty. */
static void end_bars(sim *s, active *a)
{
    uint64_t minute = s->now_ms / MINUTE_MS;
    bool whole_minutes = false;
    for (list_node *n = a->bars.head.next; n != &a->bars.head; n = n->next) {
        bar *b = LIST_OWNER(n, bar, node);
        if (b->now.end > s->now_ms)
            continue;
        for (list_node *fn = a->feeds.head.next; fn != &a->feeds.head && !s->finished; fn = fn->next) {
            feed *f = LIST_OWNER(fn, feed, node);
            if (f->bar == b && b->now.count)
                WRITE(s, f, kline, &b->now);
        }
        write_truth(s, a->market, b->tf, &b->now);
        whole_minutes |= b->tf->minutes == 1;
        b->now = (candle){.start = timeframe_start(b->tf, s->now_ms)};
        b->now.end = timeframe_end(b->tf, b->now.start);
    }
    if (!whole_minutes && s->truth && minute > a->minute_told) {
        candle c;
        const timeframe *tf = timeframe_at(0);
        market_candle(a->market, tf, (minute - 1) * MINUTE_MS, minute * MINUTE_MS, &c);
        write_truth(s, a->market, tf, &c);
    }
    a->minute_told = minute;
}

static void push_books(sim *s, active *a)
{
    static _Thread_local book now;
    for (list_node *n = a->feeds.head.next; n != &a->feeds.head && !s->finished; n = n->next) {
        feed *f = LIST_OWNER(n, feed, node);
        if (!is_book(f))
            continue;
        market_book(a->market, s->now_ms, f->is.tight, feed_depth(f), &now);
        if (book_equal(&now, f->last))
            continue;
        if (f->is.kind == FEED_BOOK)
            WRITE(s, f, book, &now, s->now_ms);
        else if (f->is.kind == FEED_BBO)
            WRITE(s, f, bbo, &now, s->now_ms);
        else
            WRITE(s, f, delta, f->last, &now, f->last_ts, s->now_ms);
        *f->last = now;
        f->last_ts = s->now_ms;
    }
}

static void push_figures(sim *s, list *feeds)
{
    for (list_node *n = feeds->head.next; n != &feeds->head && !s->finished; n = n->next) {
        feed *f = LIST_OWNER(n, feed, node);
        if (f->is.period_ms && s->now_ms % f->is.period_ms == 0)
            WRITE(s, f, other);
    }
}

/* ---- Time ---- */

static uint64_t next_multiple(uint64_t ms, uint64_t of)
{
    return (ms / of + 1) * of;
}

uint64_t feeds_next_ms(const sim *s)
{
    if (s->sub_count == 0 || s->finished)
        return UINT64_MAX;
    uint64_t next = next_multiple(s->now_ms, s->book_feeds ? VENUE_SLOT_MS : 1000);
    const active *first = due_first(s);
    return first && first->market->next.ms < next ? first->market->next.ms : next;
}

static void trade_up_to(sim *s, active *a, uint64_t now)
{
    while (a->market->next.ms <= now && !s->finished) {
        trade t = market_take(a->market);
        push_trade(s, a, &t);
    }
    due_moved(s, a);
}

/* Everything that belongs to the moment s->now_ms. */
static void moment(sim *s)
{
    uint64_t now = s->now_ms;
    bool books = s->book_feeds && now % VENUE_SLOT_MS == 0;
    if (now % 1000 != 0 && !books) { /* trades alone, of a few markets */
        for (active *a; !s->finished && (a = due_first(s)) && a->market->next.ms <= now;)
            trade_up_to(s, a, now);
        return;
    }
    for (list_node *n = s->actives.head.next; n != &s->actives.head && !s->finished; n = n->next) {
        active *a = LIST_OWNER(n, active, node);
        if (now % MINUTE_MS == 0)
            end_bars(s, a);
        trade_up_to(s, a, now);
        if (books)
            push_books(s, a);
        if (now % 1000 == 0)
            push_figures(s, &a->feeds);
    }
    if (now % 1000 == 0)
        push_figures(s, &s->wide);
}

void feeds_advance(sim *s, uint64_t to_ms, uint64_t budget)
{
    while (s->now_ms < to_ms && budget--) {
        uint64_t next = feeds_next_ms(s);
        if (next > to_ms) {
            if (!s->blocked && (s->sub_count == 0 || s->options.clock != SIM_CLOCK_MAX))
                s->now_ms = to_ms;
            return;
        }
        s->now_ms = next;
        moment(s);
        if (s->blocked || s->finished)
            return;
    }
}
