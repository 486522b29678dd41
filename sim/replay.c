/* The player. Each socket reads the file for itself, a line at a time, so a recording of any length
 * costs a line's memory. */
#include "sim/replay.h"

#include "base/list.h"
#include "net/server.h"
#include "sim/folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define QUEUE_HIGH ((size_t)1024 * 1024)
#define TURN_FRAMES 2000 /* then others have their turn */

struct replay {
    loop *loop;
    replay_options options;
    server *server;
    cert_folder certs;
    char *file, *http_file;
    bool client_first; /* nothing comes before the client has spoken */
    list players;
    replay_stats stats;
};

typedef struct player { /* one socket */
    list_node node;
    replay *replay;
    server_ws *ws;
    FILE *in;
    char *line; /* the next frame's, NULL: read one */
    size_t line_cap;
    bytes text;
    double at;           /* its time, seconds */
    double first;        /* of the recording */
    uint64_t first_mono; /* when that was played */
    bool started, ended, pending, read;
    timer timer;
} player;

/* ---- Lines ---- */

typedef enum line_kind { LINE_NONE,
                         LINE_OPENED,
                         LINE_CLIENT,
                         LINE_VENUE,
                         LINE_REPLY } line_kind;

/* "TIME: TEXT" at the end of a line. */
static bool parse_timed(char *at, double *time, bytes *text)
{
    char *end;
    *time = strtod(at, &end);
    if (end == at || end[0] != ':' || end[1] != ' ')
        return false;
    *text = bytes_of(end + 2);
    return true;
}

static line_kind parse_line(char *line, ssize_t len, double *time, bytes *text, bytes *url)
{
    static const struct {
        const char *mark;
        line_kind kind;
    } marks[] = {{" <-> ", LINE_OPENED}, {" <- ", LINE_CLIENT}, {" -> ", LINE_REPLY}};
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        line[--len] = '\0';
    if (line[0] >= '0' && line[0] <= '9')
        return parse_timed(line, time, text) ? LINE_VENUE : LINE_NONE;
    char *space = strchr(line, ' ');
    for (size_t i = 0; space && i < 3; i++) {
        size_t mark = strlen(marks[i].mark);
        if (strncmp(space, marks[i].mark, mark))
            continue;
        *url = bytes_make(line, (size_t)(space - line));
        if (marks[i].kind == LINE_OPENED)
            return LINE_OPENED;
        return parse_timed(space + mark, time, text) ? marks[i].kind : LINE_NONE;
    }
    return LINE_NONE;
}

/* The player's next frame. False: the recording is over. */
static bool next_frame(player *p)
{
    ssize_t len;
    bytes url;
    while ((len = getline(&p->line, &p->line_cap, p->in)) > 0)
        if (parse_line(p->line, len, &p->at, &p->text, &url) == LINE_VENUE)
            return p->pending = true;
    return p->pending = false;
}

/* Looks through the file once: is it one, and who speaks first? */
static weir_code check_file(replay *r, weir_error *err)
{
    FILE *in = fopen(r->file, "r");
    if (!in)
        return error_set(err, WEIR_INVALID, "recording '%s': %s", r->file, strerror(errno));
    char *line = NULL;
    size_t cap = 0, number = 0, frames = 0;
    ssize_t len;
    double time;
    bytes text, url;
    err->code = WEIR_OK;
    while ((len = getline(&line, &cap, in)) > 0 && !err->code) {
        number++;
        line_kind kind = len > 1 ? parse_line(line, len, &time, &text, &url) : LINE_OPENED;
        if (kind == LINE_NONE)
            error_set(err, WEIR_INVALID, "recording '%s': line %zu is none of 'URL <-> TIME', 'URL <- TIME: TEXT', 'TIME: TEXT'", r->file, number);
        r->client_first |= kind == LINE_CLIENT && frames == 0;
        frames += kind == LINE_VENUE;
    }
    free(line);
    fclose(in);
    if (!err->code && frames == 0)
        error_set(err, WEIR_INVALID, "recording '%s': no line 'TIME: TEXT', so there is nothing to play", r->file);
    return err->code;
}

/* ---- Playing ---- */

static void player_end(player *p)
{
    if (p->replay->options.again) {
        rewind(p->in);
        p->started = false;
        timer_after(&p->timer, 0);
        return;
    }
    p->ended = true;
    if (p->replay->options.hold)
        server_ws_ping(p->ws, BYTES("end")); /* its pong comes behind all that was sent */
    else
        server_ws_close(p->ws, 1000, BYTES("end of the recording"));
}

static void on_pong(void *arg)
{
    player *p = arg;
    replay *r = p->replay;
    if (!p->ended || p->read)
        return;
    p->read = true;
    r->stats.read++;
    if (r->options.on_read)
        r->options.on_read(r->options.arg);
}

static void player_go(void *arg)
{
    player *p = arg;
    replay *r = p->replay;
    for (int i = 0; i < TURN_FRAMES && !p->ended; i++) {
        if (!p->pending && !next_frame(p)) {
            player_end(p);
            return;
        }
        if (!p->started) {
            p->started = true;
            p->first = p->at;
            p->first_mono = loop_now(r->loop);
        }
        double passed = (double)(loop_now(r->loop) - p->first_mono) / 1e9 * r->options.speed;
        double wait = (p->at - p->first - passed) / r->options.speed;
        if (!r->options.max_speed && wait > 0) {
            timer_after(&p->timer, (uint64_t)(wait * 1e9));
            return;
        }
        if (server_ws_queued(p->ws) > QUEUE_HIGH)
            return; /* on_drain goes on */
        server_ws_send(p->ws, false, p->text);
        p->pending = false;
        r->stats.frames++;
    }
    if (!p->ended)
        timer_after(&p->timer, 0);
}

static void on_message(void *arg, bool binary, bytes message)
{
    player *p = arg;
    (void)binary, (void)message;
    p->replay->stats.received++;
    if (!p->started && !p->ended && !timer_running(&p->timer))
        timer_after(&p->timer, 0);
}

static void on_drain(void *arg)
{
    player *p = arg;
    if (p->pending && p->started && !timer_running(&p->timer))
        timer_after(&p->timer, 0);
}

static void on_close(void *arg, uint16_t code, bytes reason)
{
    player *p = arg;
    (void)code, (void)reason;
    timer_stop(&p->timer);
    list_remove(&p->node);
    fclose(p->in);
    free(p->line);
    free(p);
}

static void on_socket(replay *r, server_request *q)
{
    static const server_ws_events events = {on_message, on_drain, on_close};
    player *p = calloc(1, sizeof *p);
    FILE *in = p ? fopen(r->file, "r") : NULL;
    if (!in) {
        free(p);
        server_reply(q, 503, NULL, 0, BYTES("the recording cannot be read\n"));
        return;
    }
    p->replay = r;
    p->in = in;
    timer_init(&p->timer, r->loop, player_go, p);
    p->ws = server_upgrade(q, bytes_make(NULL, 0), &events, p);
    if (!p->ws) {
        fclose(in);
        free(p);
        return;
    }
    server_ws_on_pong(p->ws, on_pong);
    list_push(&r->players, &p->node);
    r->stats.connections++;
    if (!r->client_first)
        timer_after(&p->timer, 0);
}

/* ---- Recorded REST ---- */

/* Does a recorded URL ask for the same path and query? */
static bool same_target(bytes url, const server_request *q)
{
    const char *slash = url.len > 8 ? memchr(url.at + 8, '/', url.len - 8) : NULL;
    if (!slash)
        return false;
    bytes target = {slash, url.len - (size_t)(slash - url.at)}, path = server_path(q), query = server_query(q);
    return target.len == path.len + (query.len ? query.len + 1 : 0) && bytes_starts(target, path) &&
           (!query.len || bytes_equal(bytes_make(target.at + path.len + 1, query.len), query));
}

static void on_rest(replay *r, server_request *q)
{
    FILE *in = r->http_file ? fopen(r->http_file, "r") : NULL;
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    bool found = false;
    while (in && !found && (len = getline(&line, &cap, in)) > 0) {
        double time;
        bytes text, url;
        if (parse_line(line, len, &time, &text, &url) != LINE_REPLY || !same_target(url, q))
            continue;
        http_header type = {BYTES("Content-Type"), BYTES("application/json")};
        server_reply(q, 200, &type, 1, text);
        found = true;
    }
    if (!found)
        server_reply(q, 404, NULL, 0, BYTES("not in the recording\n"));
    free(line);
    if (in)
        fclose(in);
}

static void on_request(void *arg, server_request *q)
{
    if (server_wants_websocket(q))
        on_socket(arg, q);
    else
        on_rest(arg, q);
}

/* ---- Beginning and end ---- */

static weir_code replay_start(replay *r, weir_error *err)
{
    replay_options *o = &r->options;
    r->file = strdup(o->file);
    r->http_file = o->http_file ? strdup(o->http_file) : NULL;
    if (!r->file || (o->http_file && !r->http_file))
        return error_set(err, WEIR_NOMEM, "player: out of memory");
    if (check_file(r, err) || (o->tls && cert_folder_make(&r->certs, o->folder, err)))
        return err->code;
    server_options so = {
        .address = o->address,
        .port = o->port,
        .cert_file = o->tls ? r->certs.cert : NULL,
        .key_file = o->tls ? r->certs.key : NULL,
        .no_deflate = !o->deflate,
        .on_request = on_request,
        .arg = r,
    };
    return server_new(&r->server, r->loop, &so, err);
}

weir_code replay_new(replay **out, loop *l, const replay_options *options, weir_error *err)
{
    weir_error own = WEIR_ERROR_INIT;
    if (!err)
        err = &own;
    replay *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(err, WEIR_NOMEM, "player: out of memory");
    r->loop = l;
    r->options = *options;
    r->options.speed = options->speed > 0 ? options->speed : 1;
    list_init(&r->players);
    if (replay_start(r, err)) {
        replay_free(r);
        return err->code;
    }
    *out = r;
    return WEIR_OK;
}

void replay_free(replay *r)
{
    if (!r)
        return;
    server_free(r->server); /* closes the players */
    cert_folder_remove(&r->certs);
    free(r->file);
    free(r->http_file);
    free(r);
}

uint16_t replay_port(const replay *r)
{
    return server_port(r->server);
}

const char *replay_ca_file(const replay *r)
{
    return r->options.tls ? r->certs.ca : NULL;
}

replay_stats replay_get_stats(const replay *r)
{
    return r->stats;
}
