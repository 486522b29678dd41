/* See shared.h. Frequent is the way shared_want -> work -> ask -> task_call -> on_answer: a list's end, a
 * list's head, and no allocation. Questions are asked in a row for as long as a turn's share lasts, since a turn of the
 * loop costs as much as a question; and while answers need no more than publishing, the guest's fiber stays (on_returned),
 * since to leave it and come back costs a sixth of one. Replacing the instance goes through all places; it is rare.
 *
 * Callbacks may free any stream, the last one included. So whoever calls one pins the struct, and takes
 * places off one list and onto another instead of walking along. */
#include "stream/shared.h"

#include <stdio.h>
#include <stdlib.h>

#include "stream/backoff.h"
#include "stream/inside.h"

#define SHUTDOWN_MS 1500
#define SHARE_NS (2 * NS_PER_MS) /* of one turn of the loop, less than a guest's slice: what a socket gives in one, and then its next */
#define LOOK_AFTER 4             /* questions between two looks at the clock */

struct shared {
    loop *loop;
    stream_plugin *plugin; /* NULL: the last place has left */
    venue venue;
    task *task;
    linked *code;         /* of `task` */
    const char *shutdown; /* its export; NULL: none */
    task *heir;           /* of newer code; takes over when it is configured and nothing is asked */
    linked *heir_code;
    bool heir_up;
    task *elder; /* the one before, while it shuts down */
    bool up;     /* configured, and sound */
    bool proven; /* has answered a question */
    bool ever;   /* some instance was configured */
    list places, turns;
    size_t members, counting; /* places; those that do not stop */
    place *asked;             /* whose question is under way; NULL also when it has left meanwhile */
    place *parting;           /* the last one, which waits for the shutdown */
    bool answering;           /* what the answer points into must stay: no next question yet */
    bool working;             /* work() is asking */
    deferred work;
    uint64_t until; /* of its share */
    unsigned asked_now;
    buf question;
    backoff backoff;
    timer start;
    unsigned pins;
};

static void next(shared *sh);
static void start(void *arg);
static void take_over(shared *sh);

static void unpin(shared *sh)
{
    if (--sh->pins || sh->plugin)
        return;
    defer_cancel(&sh->work);
    buf_fini(&sh->question);
    free(sh);
}

static void drop_heir(shared *sh)
{
    task_free(sh->heir);
    sh->heir = NULL;
    sh->heir_up = false;
}

static void drop_instance(shared *sh)
{
    task_free(sh->task);
    sh->task = NULL;
    sh->up = sh->proven = false;
    sh->asked = NULL;
}

/* ---- Telling all places ---- */

typedef struct news {
    enum { NEWS_LOST,
           NEWS_READY,
           NEWS_REFUSED } kind;
    const char *why;
    uint64_t wait_ns;
} news;

static void tell(place *p, const news *n)
{
    switch (n->kind) {
    case NEWS_LOST:
        p->ops->lost(p->arg, n->why, n->wait_ns);
        return;
    case NEWS_READY:
        p->ops->ready(p->arg);
        return;
    case NEWS_REFUSED:
        p->ops->refused(p->arg, n->why);
    }
}

static void tell_all(shared *sh, const news *n)
{
    list todo;
    list_node *node;
    list_init(&todo);
    while ((node = list_pop(&sh->places)))
        list_push(&todo, node);
    while ((node = list_pop(&todo))) {
        list_push(&sh->places, node);
        tell(LIST_OWNER(node, place, node), n);
    }
}

/* ---- The instance ---- */

static bool useless(const call_result *r)
{
    return r->needs_reset || (r->code != WEIR_OK && r->code != WEIR_FAILED && r->code != WEIR_NOT_FOUND && r->code != WEIR_INVALID);
}

static void replace(shared *sh, const char *why)
{
    char text[WEIR_ERROR_TEXT];
    uint64_t wait = 0;
    snprintf(text, sizeof text, "%s", why); /* it lies in the task */
    if (sh->proven)
        backoff_reset(&sh->backoff);
    else
        wait = backoff_next(&sh->backoff);
    drop_instance(sh);
    if (sh->heir)
        timer_after(&sh->start, wait = 0);                                   /* see start */
    else if (!health_rests(&sh->plugin->health, loop_now(sh->plugin->loop))) /* else with the first one that wants it then */
        timer_after(&sh->start, wait);
    tell_all(sh, &(news){NEWS_LOST, text, wait});
}

static void farewell_over(shared *sh)
{
    place *p = sh->parting;
    sh->parting = NULL;
    if (p)
        p->ops->said_goodbye(p->arg);
}

static void on_shut_down(void *arg, const call_result *r)
{
    shared *sh = arg;
    trap_note note = {.result = r, .task = sh->task};
    if (useless(r)) /* a trap here changes nothing */
        stream_note(sh->plugin, &note, "stopped", 0);
    sh->pins++;
    if (r->code != WEIR_OK) /* it changes nothing any more */
        log_warn("stream", "'%s': %s: " BYTES_FMT "; it is closed all the same", sh->plugin->name, sh->plugin->generation->shutdown,
                 BYTES_ARG(r->error.len ? r->error : bytes_of(r->why)));
    farewell_over(sh);
    unpin(sh);
}

/* What the last place waits for is over: the plugin may be told, if it is still sound. */
static void part(shared *sh, bool sound)
{
    if (!sound || !sh->shutdown) {
        farewell_over(sh);
        return;
    }
    task_call(sh->task, sh->shutdown, BYTES(""), SHUTDOWN_MS, on_shut_down, sh);
    task_by_clock(sh->task);
}

static void on_answer(void *arg, const call_result *r)
{
    shared *sh = arg;
    place *who = sh->asked;
    bool lost = useless(r);
    sh->pins++;
    sh->asked = NULL;
    if (lost)
        sh->up = false;
    else
        sh->proven = true;
    if (who && !sh->parting) {
        sh->answering = true;
        who->ops->answer(who->arg, r, lost);
        sh->answering = false;
    }
    if (sh->parting)
        part(sh, !lost);
    else if (lost && sh->task)
        replace(sh, r->why);
    take_over(sh);
    next(sh);
    unpin(sh);
}

static bool may_ask(const shared *sh)
{
    return sh->up && !sh->parting && !sh->answering && task_idle(sh->task) && !list_empty(&sh->turns);
}

/* Whose turn it is, until one really asks. */
static bool ask(shared *sh)
{
    while (may_ask(sh)) {
        list_node *node = list_pop(&sh->turns);
        place *p = LIST_OWNER(node, place, turn);
        uint64_t ms = 0;
        buf_clear(&sh->question);
        const char *export_name = p->ops->ask(p->arg, &sh->question, &ms);
        if (!export_name)
            continue;
        sh->asked = p;
        task_call(sh->task, export_name, buf_bytes(&sh->question), ms, on_answer, sh);
        return true;
    }
    return false;
}

/* Of this turn. Looks at the clock now and then; deadlines count from its last look. */
static bool share_left(shared *sh)
{
    if (++sh->asked_now % LOOK_AFTER)
        return true;
    loop_refresh(sh->loop);
    return loop_now(sh->loop) < sh->until;
}

/* On the guest's fiber: takes an answer that needs no more than publishing, and asks the next one in line. False: the
 * loop has to, for what is not done yet. */
static bool on_returned(void *arg, const call_result *r)
{
    shared *sh = arg;
    uint64_t ms = 0;
    if (!sh->working || !sh->asked || sh->parting || r->code != WEIR_OK || r->needs_reset || !sh->asked->ops->publish(sh->asked->arg, r))
        return false;
    sh->asked = NULL;
    sh->proven = true;
    if (!share_left(sh) || list_empty(&sh->turns) || sh->heir_up) /* an heir takes over between two questions */
        return false;
    place *p = LIST_OWNER(sh->turns.head.next, place, turn);
    buf_clear(&sh->question);
    const char *export_name = p->ops->ask_frame(p->arg, &sh->question, &ms);
    if (!export_name)
        return false;
    list_remove(&p->turn);
    sh->asked = p;
    task_call_next(sh->task, export_name, buf_bytes(&sh->question), ms);
    return true;
}

/* Questions and answers, most of which come at once. One that waits or computes for long ends it: on_answer goes on. */
static void work(void *arg)
{
    shared *sh = arg;
    sh->pins++;
    sh->working = true;
    loop_refresh(sh->loop);
    sh->until = loop_now(sh->loop) + SHARE_NS;
    do {
        if (!ask(sh))
            break;
        task_run(sh->task);
    } while (share_left(sh));
    sh->working = false;
    next(sh);
    unpin(sh);
}

/* Goes on with those that are in line. */
static void next(shared *sh)
{
    if (!sh->working && may_ask(sh))
        defer(sh->loop, &sh->work);
}

/* What one instance may do grows with what it serves. */
static void budget(shared *sh)
{
    if (sh->task)
        policy_share(&sh->task->policy, sh->plugin->limits, sh->counting);
}

static void up(shared *sh)
{
    sh->up = sh->ever = true;
    tell_all(sh, &(news){.kind = NEWS_READY});
    next(sh);
}

static void on_configured(void *arg, const call_result *r)
{
    shared *sh = arg;
    char why[WEIR_ERROR_TEXT];
    sh->pins++;
    if (r->code == WEIR_OK) {
        up(sh);
    } else if (sh->ever && useless(r)) {
        trap_note note = {.result = r, .task = sh->task, .input = bytes_of(sh->plugin->config)};
        snprintf(why, sizeof why, "%s: %s", sh->plugin->generation->configure, r->why);
        stream_sick(sh->plugin, why, &note);
        if (sh->task)
            replace(sh, why);
    } else {
        trap_note note = {.result = r, .task = sh->task, .input = bytes_of(sh->plugin->config)};
        stream_unconfigured(sh->plugin, r, why);
        if (useless(r))
            stream_note(sh->plugin, &note, "gave up", 0);
        drop_instance(sh);
        tell_all(sh, &(news){NEWS_REFUSED, why, 0});
    }
    unpin(sh);
}

static void start(void *arg)
{
    shared *sh = arg;
    weir_error err = WEIR_ERROR_INIT;
    const stream_plugin *p = sh->plugin;
    if (sh->task)
        return;
    sh->pins++;
    if (sh->heir) { /* it comes when it is configured */
        take_over(sh);
        unpin(sh);
        return;
    }
    if (stream_task(&sh->task, p, &sh->venue, &err)) {
        replace(sh, err.text);
        unpin(sh);
        return;
    }
    task_on_returned(sh->task, on_returned);
    sh->code = p->code;
    sh->shutdown = p->has_shutdown ? p->generation->shutdown : NULL;
    budget(sh);
    if (p->config) {
        task_call(sh->task, p->generation->configure, bytes_of(p->config), STREAM_CONFIGURE_MS, on_configured, sh);
    } else {
        up(sh);
    }
    unpin(sh);
}

/* ---- Another code ---- */

static void on_elder_shut_down(void *arg, const call_result *r)
{
    shared *sh = arg;
    trap_note note = {.result = r, .task = sh->elder};
    if (useless(r))
        stream_note(sh->plugin, &note, "stopped", 0);
    task_free(sh->elder);
    sh->elder = NULL;
}

/* Between two questions, so no frame is half done; those that wait stay with their streams. */
static void take_over(shared *sh)
{
    if (!sh->heir_up || !sh->plugin || sh->parting || sh->answering || (sh->task && !task_idle(sh->task)))
        return;
    task_free(sh->elder); /* one that still shuts down has had its time */
    sh->elder = sh->up && sh->shutdown ? sh->task : NULL;
    if (sh->elder)
        task_call(sh->elder, sh->shutdown, BYTES(""), SHUTDOWN_MS, on_elder_shut_down, sh);
    else
        task_free(sh->task);
    sh->task = sh->heir;
    sh->code = sh->heir_code;
    sh->shutdown = sh->plugin->has_shutdown ? sh->plugin->generation->shutdown : NULL;
    sh->heir = NULL;
    sh->heir_up = sh->up = sh->proven = false;
    timer_stop(&sh->start);
    budget(sh);
    tell_all(sh, &(news){NEWS_LOST, "the plugin's code was replaced", 0});
    if (sh->plugin && sh->task)
        up(sh);
}

static void on_heir_configured(void *arg, const call_result *r)
{
    shared *sh = arg;
    char why[WEIR_ERROR_TEXT];
    sh->pins++;
    if (r->code == WEIR_OK) {
        sh->heir_up = true;
        take_over(sh);
    } else {
        stream_unconfigured(sh->plugin, r, why);
        log_warn("stream", "'%s': its new code does not take over: %s", sh->plugin->name, why);
        drop_heir(sh);
        if (!sh->task && !timer_running(&sh->start))
            timer_after(&sh->start, 0);
    }
    unpin(sh);
}

static void renew(shared *sh)
{
    weir_error err = WEIR_ERROR_INIT;
    const stream_plugin *p = sh->plugin;
    drop_heir(sh);
    if (!sh->up) { /* nothing that is worth waiting for */
        bool wanted = sh->task || timer_running(&sh->start);
        drop_instance(sh);
        if (wanted)
            timer_after(&sh->start, 0);
        return;
    }
    if (stream_task(&sh->heir, p, &sh->venue, &err)) {
        log_warn("stream", "'%s': its new code does not take over: %s", p->name, err.text);
        return;
    }
    task_on_returned(sh->heir, on_returned);
    sh->heir_code = p->code;
    if (p->config) {
        task_call(sh->heir, p->generation->configure, bytes_of(p->config), STREAM_CONFIGURE_MS, on_heir_configured, sh);
        return;
    }
    sh->heir_up = true;
    take_over(sh);
}

void shared_renew(place *p)
{
    shared *sh = p->of;
    if (!sh || sh->parting || sh->code == sh->plugin->code || (sh->heir && sh->heir_code == sh->plugin->code))
        return;
    sh->pins++;
    renew(sh);
    unpin(sh);
}

/* ---- Places ---- */

/* The guest's own publications: a hybrid says it twice, and what its callback returns is what counts. */
static weir_code publish(void *arg, const world_publication *what, weir_error *err)
{
    (void)arg, (void)what, (void)err;
    return WEIR_OK;
}

static void ignore_socket(void *arg, plug *s)
{
    (void)arg, (void)s;
}

static void ignore(void *arg)
{
    (void)arg;
}

static void ignore_down(void *arg, const weir_error *why, uint32_t retry_after_s, uint16_t http_status)
{
    (void)arg, (void)why, (void)retry_after_s, (void)http_status;
}

static void ignore_message(void *arg, plug *s, uint64_t recv_real_ns)
{
    (void)arg, (void)s, (void)recv_real_ns;
}

static const venue_listener listener = {publish, ignore_socket, ignore_socket, ignore_down, ignore_message, ignore, ignore};

static shared *shared_new(stream_plugin *p)
{
    shared *sh = calloc(1, sizeof *sh);
    if (!sh)
        return NULL;
    sh->loop = p->loop;
    sh->plugin = p;
    sh->venue = (venue){.loop = p->loop, .dialer = p->dialer, .targets = p->targets, .name = p->name, .owner = p->owner, .silence_ms = p->silence_ms, .listener = &listener};
    list_init(&sh->places);
    list_init(&sh->turns);
    buf_init(&sh->question, SIZE_MAX);
    sh->work = (deferred){.fn = work, .arg = sh};
    timer_init(&sh->start, p->loop, start, sh);
    backoff_init(&sh->backoff, p->backoff_min_ns ? p->backoff_min_ns : NS_PER_S,
                 p->backoff_max_ns ? p->backoff_max_ns : 60 * NS_PER_S, rand_u64());
    return sh;
}

weir_code shared_join(place *p, stream_plugin *plugin, const place_ops *ops, void *arg, weir_error *err)
{
    shared *sh = plugin->own_instances ? NULL : plugin->instance;
    if (!sh && !(sh = shared_new(plugin)))
        return error_set(err, WEIR_NOMEM, "stream: out of memory");
    if (!plugin->own_instances)
        plugin->instance = sh;
    *p = (place){.of = sh, .ops = ops, .arg = arg};
    list_push(&sh->places, &p->node);
    sh->members++;
    sh->counting++;
    budget(sh);
    return WEIR_OK;
}

/* Newcomers begin with an instance of their own. */
static void detach(shared *sh)
{
    if (sh->plugin->instance == sh)
        sh->plugin->instance = NULL;
}

void shared_leave(place *p)
{
    shared *sh = p->of;
    if (!sh)
        return;
    p->of = NULL;
    list_remove(&p->node);
    list_remove(&p->turn);
    sh->counting -= !p->stopping;
    if (sh->asked == p)
        sh->asked = NULL;
    if (sh->parting == p)
        sh->parting = NULL;
    if (--sh->members)
        return;
    sh->pins++;
    drop_instance(sh);
    drop_heir(sh);
    task_free(sh->elder);
    sh->elder = NULL;
    timer_stop(&sh->start);
    detach(sh);
    sh->plugin = NULL;
    unpin(sh);
}

void shared_want(place *p)
{
    shared *sh = p->of;
    if (!sh || p->stopping)
        return;
    if (!list_linked(&p->turn))
        list_push(&sh->turns, &p->turn);
    if (sh->up)
        next(sh);
    else if (!sh->task && !timer_running(&sh->start))
        timer_after(&sh->start, 0);
}

bool shared_up(const place *p)
{
    return p->of && p->of->up;
}

const task *shared_task(const place *p)
{
    return p->of ? p->of->task : NULL;
}

bytes shared_question(const place *p)
{
    return p->of ? buf_bytes(&p->of->question) : (bytes){0};
}

bool shared_goodbye(place *p)
{
    shared *sh = p->of;
    if (!sh || p->stopping)
        return false;
    p->stopping = true;
    list_remove(&p->turn);
    sh->counting--;
    if (sh->counting || !sh->up)
        return false;
    bool busy = sh->answering || !task_idle(sh->task);
    if (!busy && !sh->shutdown)
        return false;
    detach(sh);
    sh->parting = p;
    if (!busy)
        part(sh, true);
    return true;
}
