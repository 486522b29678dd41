/* inside.h: a stream from within, for stream.c (its life), pull.c and push*.c (how its plugin is fed). */
#ifndef STREAM_INSIDE_H
#define STREAM_INSIDE_H

#include "stream/backoff.h"
#include "stream/handover.h"
#include "stream/liveness.h"
#include "stream/sequence.h"
#include "stream/stream.h"

#define STABLE_NS (60 * NS_PER_S) /* live for so long: earlier trouble is forgotten */

struct push; /* push_inside.h */

/* How a plugin of this kind is fed. */
typedef struct route {
    weir_code (*init)(stream *s, weir_error *err);
    void (*ready)(stream *s);                        /* stream_instance's is new and configured */
    void (*retry)(stream *s);                        /* the back-off is over */
    bool (*keep)(stream *s, record_gap_cause cause); /* may be NULL. Called by stream_lose first: true, nothing is missing for what
                                                        was lost, so no gap begins */
    void (*lost)(stream *s);                         /* called by stream_lose, before it waits: lets go of what cannot go on */
    void (*rest)(stream *s);                         /* the plugin is in quarantine: lets go of socket and instance */
    void (*renew)(stream *s);                        /* the plugin's code is another now: goes over to it; may free the stream */
    bool (*stop)(stream *s);                         /* begins to end it in good order; false: nothing has to be waited for */
    void (*drop)(stream *s);                         /* lets go of everything but the instance */
    void (*on_room)(stream *s);                      /* readers of the records have room again */
    uint64_t (*queued)(const stream *s);
    void (*probe)(stream *s);                      /* makes the venue answer on each open socket */
    uint64_t (*heard)(const stream *s);            /* clock_mono of the last octet, of the socket that is silent for longest */
    void (*cut)(stream *s, const weir_error *why); /* lets go of the sockets; stream_lose follows */
    bool (*idle)(const stream *s);                 /* NULL: when nothing is queued */
    void (*fini)(stream *s);
} route;

extern const route pull_route, push_route;

struct stream {
    stream_plugin *plugin;
    const route *route;
    struct venue venue;
    record_stream *records;
    char *key; /* the StreamKey's JSON */
    char *parameters;
    void (*on_state)(void *arg, stream *s, stream_state state, const char *why);
    void (*on_resynced)(void *arg, uint64_t from_event);
    void *arg;

    stream_state state;
    char why[WEIR_ERROR_TEXT];
    uint64_t since; /* clock_mono of the last change */
    uint64_t live_since;

    task *task;      /* the present instance; a push stream's is shared.c's */
    list_node among; /* the plugin's streams */
    uint32_t traps;  /* in a row */
    uint64_t last_trap;
    uint32_t retry_after_s;
    kept_error down; /* why the last socket went down */

    liveness life;

    uint64_t last_recv; /* clock_real of the last message */
    uint64_t lost_from; /* a gap is due: since when; 0: none */
    record_gap_cause lost_cause;
    uint64_t lost_count, lost_total;
    record_gap lost_numbers; /* has_seq: what the venue's numbers say of it */
    sequence numbers;
    uint64_t dropped;               /* messages that gaps told of since the last number */
    bool gapped;                    /* a gap was told, and the stream is not resynced yet */
    uint64_t last_event, gap_event; /* ts_event of the last data record; of that before the gap that is not resynced yet */
    bool resyncs_later;             /* whoever set it says so by stream_resynced: a book that waits for its snapshot */
    uint64_t taken_total;           /* messages that the plugin took; of instances that are gone, where each has its own */
    uint64_t unread_total;          /* what waited when it was stopped as asked */

    backoff backoff;
    timer next_try, stopper;
    uint64_t not_before; /* clock_mono: when the next try is due */
    deferred act;        /* what callbacks on the fiber leave to the loop */
    hub_waiter room;
    bool asked; /* to stop, in a way that the plugin answers */
    bool *gone; /* set when on_state frees the stream */

    struct {
        uint32_t returns;  /* spontaneous ones in a row */
        uint32_t refusals; /* in the plugin's own words, before the first record */
        timer react, watch;
        handover handover;
        timer leave; /* for the old code to come between two messages */
        bool became_live, socket_lost, left;
        bool dialled; /* some socket opened or failed to in this attempt */
        bool opened;  /* some socket was open in this attempt */
    } pull;
    struct push *push;
};

/* Moves, and tells. False: on_state freed the stream; nothing of it may be touched. */
bool stream_enter(stream *s, stream_state next, const char *why);

/* From now on something may be missing. The record itself comes before the next data record, when the
 * end is known. */
void stream_begin_gap(stream *s, record_gap_cause cause);
void stream_begin_gap_at(stream *s, record_gap_cause cause, uint64_t from_ns); /* that began in the past */
/* Before each data record: the gap that is due, and that the stream is whole again (unless resyncs_later). */
void stream_end_gap(stream *s);
/* A data record. */
void stream_publish(stream *s, uint64_t ts_event, uint64_t recv_ns, bytes data);
/* A gap whose end is known: at once. */
void stream_tell_gap(stream *s, const record_gap *gap);
/* The stream is whole again, if a gap was told: a status record. */
void stream_resynced(stream *s, const char *why);
/* Once for each message, before its records: looks for a hole in the venue's numbers (sequence.c). */
void stream_number(stream *s, const venue_number *n, uint64_t recv_ns);

/* It cannot go on as it is; the next try comes after the back-off, or at once. May free the stream. */
void stream_lose(stream *s, record_gap_cause cause, const char *why, bool at_once);
/* The end, as asked or not. May free the stream. */
void stream_close(stream *s, const char *why);
void stream_fail(stream *s, const char *why);

/* Makes an instance and configures it; then the route's ready. May free the stream. */
void stream_instance(stream *s);
/* An instance with this world, not configured yet. */
#define STREAM_CONFIGURE_MS 15000
weir_code stream_task(task **out, const stream_plugin *p, venue *v, weir_error *err);
/* Why configuring it came to nothing. */
void stream_unconfigured(const stream_plugin *p, const call_result *r, char why[WEIR_ERROR_TEXT]);
/* What a socket's end says about the next try. */
void stream_note_down(stream *s, const weir_error *why, uint16_t http_status, uint32_t retry_after_s);
/* The call trapped, overran, or is of a kind that no new instance helps: logs, counts, notes. `what` names the
 * call; the note's result, task, input and message are set. True: the stream is given up or rests, and may be gone. */
bool stream_trapped(stream *s, const char *what, trap_note *note, char why[WEIR_ERROR_TEXT]);
/* An instance of the plugin died. True: its health says that it is enough, and all its streams rest or are
 * given up; any of them may be gone. `note` is completed and handed on; NULL: no guest was to blame. */
bool stream_sick(stream_plugin *p, const char *why, trap_note *note);
/* Hands the note on, with what follows. */
void stream_note(const stream_plugin *p, trap_note *note, const char *then, uint64_t again_ns);

#endif
