/* push_inside.h: a push stream from within, for the files that push.c names. Each function stands in the file of its name.
 * Where nothing else is said, a call that loses the socket or ends the stream may free the stream. */
#ifndef STREAM_PUSH_INSIDE_H
#define STREAM_PUSH_INSIDE_H

#include "stream/inside.h"
#include "stream/push_book.h"
#include "stream/session.h"
#include "stream/shared.h"
#include "stream/successor.h"

#define HASTY_NS NS_PER_S /* a socket younger than this is not dialled again at once */
#define EVENT_BIT(e) (1u << (e))

typedef enum question { ASKS_NOTHING,
                        ASKS_MARKER,
                        ASKS_EVENT,
                        ASKS_FRAME } question;

typedef enum toll { TOLL_DUE,
                    TOLL_WAITS, /* reserved, for when next_try ends */
                    TOLL_PAID } toll;

typedef struct push {
    place place; /* with the instance */
    inbox in;
    marker marker, next; /* as it is used; as the new instance says it */
    bool marked;         /* the present instance has said what it wants */
    heartbeat beat;
    session *session;
    bool open;
    uint64_t open_since;
    successor heir;     /* the next socket, when this one's end is near */
    timer renew;        /* when to make it */
    backoff heir_tries; /* between those that fail */
    uint64_t life_ends; /* clock_mono; 0: not known */
    channels *awaits;   /* those that came by the connection before and not yet by this one; NULL: none */
    bool talks_first;   /* its answer to connected says more than the marker: no socket is made without it */
    char connection[33];
    char id[24]; /* the stream's, for plugins that name none */

    unsigned events;  /* that the plugin has not been asked about */
    unsigned trapped; /* that an instance died of, once */
    bool event_acted; /* one of the pair error, disconnected was followed */
    bool greeted;     /* connected was answered, so the initial messages are out */

    question asking; /* what is under way */
    bool wishes;     /* the marker is to be asked for */
    toll toll;       /* what the plugin's rate limits take for that */
    unsigned tries;  /* to pay it */
    bool redial;     /* the next try is due */
    stream_event event;
    bool again;  /* the frame trapped once already */
    inbox *from; /* that it lies in */
    bool trial;  /* it is the successor's, who is being tried */

    verdict held;   /* waits for the readers' room */
    json_iter rest; /* data that are not published yet: items of a list, or one value */
    bool list;
    buf kept; /* what `rest`, held.send and held.why point into while they wait: the instance goes on */
    bool holding;
    uint64_t recv_ns;   /* of the frame it is about */
    uint64_t before_ns; /* of the last one out of the inbox */
    push_book book;     /* of a marker that declares one */
    size_t old;         /* frames in the inbox that are of a socket before */
    bool on_answer;     /* the message that is asked about is what the book asked for, not the inbox's */
    bool late;          /* and its socket is gone meanwhile */
    char unknown[40];   /* action, said once */
    uint64_t refused;   /* frames that a callback failed on */
} push;

static inline const policy_limits *push_limits(const stream *s)
{
    return s->plugin->limits ? s->plugin->limits : &policy_defaults;
}

/* ---- push_turn.c ---- */

extern const place_ops push_turn_ops;
/* Gets in line, if there is something to ask. The last thing that its caller does: it may free the stream. */
void push_pump(stream *s);
bool push_trapped(const call_result *r);
/* It was this stream's question that the instance died of; the socket stays. The others go on at once, this
 * one waits when it happens again and again. False: it is given up or rests, and may be gone. */
bool push_culprit(stream *s, const char *what, const call_result *r, bytes message);

/* ---- push_marker.c ---- */

/* The question for it; NULL: this generation has none, and the stream has failed. */
const char *push_marker_ask(stream *s, buf *in);
void push_marker_take(stream *s, const call_result *r);
/* Gets in line to ask for it, once the plugin's rate limits allow the command. */
void push_marker_want(stream *s);

/* ---- push_socket.c ---- */

extern const session_reader push_socket_reader;
session_options push_socket_wanted(const stream *s);
void push_socket_dial(stream *s);
/* The initial messages in order, after each handshake. */
weir_code push_socket_subscribe(void *arg, session *to, weir_error *err);
/* That, and the stream is live. False: the socket is lost, or the stream gone. */
bool push_socket_greet(stream *s);
/* A successor that has not taken over goes along. No report, and the stream stays. */
void push_socket_drop(stream *s);
void push_socket_count(stream *s); /* anew, of those that are open */
void push_socket_beat(stream *s);  /* for each new marker, as the session looks at it where it is */
void push_socket_room(void *arg);  /* an inbox has some again */

/* ---- push_renew.c ---- */

void push_renew_init(stream *s);
/* When this socket's end is known: in time before it. */
void push_renew_plan(stream *s);
/* From now on the successor is the socket. A gap begins, if something was on the old one and is not yet on this one. */
void push_renew_hand_over(stream *s, const char *how);
/* The plugin has had data of this text: what was awaited may be whole with it. */
void push_renew_had(stream *s, bytes text);
void push_renew_await_no_more(stream *s); /* the socket goes */
/* The successor is of no use; the present one goes on. */
void push_renew_failed(void *arg, const char *why, uint32_t retry_after_s);

/* ---- push_event.c ---- */

const char *push_event_ask(stream *s, buf *in); /* one is due */
void push_event_take(stream *s, const call_result *r);

/* ---- push_message.c ---- */

/* NULL: there is none. */
const char *push_message_ask(stream *s, buf *in);
/* The one that was asked about is done with, and counted as taken or lost. */
void push_message_done(stream *s, uint64_t *count);
/* So it is, for the records it would have been are a gap. */
void push_message_lose(stream *s, const char *why);
/* The plugin has had it, so the successor need not bring it again. */
void push_message_had(stream *s);
/* So many that the old connection had brought, or that only opened the new one. */
void push_message_left_out(stream *s, uint64_t messages);

/* ---- push_verdict.c ---- */

/* The answer to a message, on the loop. */
void push_verdict_take(stream *s, const call_result *r);
/* The same on the guest's fiber, for most of them; false: it is not so simple, nothing was done. */
bool push_verdict_publish(void *arg, const call_result *r);
/* The readers have room for what was held back. */
void push_verdict_room(stream *s);
/* What is left to do once the data is out. */
void push_verdict_obey(stream *s, const verdict *v);
/* The plugin says close: as asked, or because of something that no further try would mend. */
void push_verdict_end(stream *s, json why);
/* Says once that an action is none. */
void push_verdict_unknown(stream *s, bytes action);

#endif
