/* liveness.h: whether a live stream still gets what it subscribed to, judged by its own rhythm (rhythm.h).
 *
 * A venue can fail in a way that no socket shows: it goes on answering and has forgotten the topic. And a quiet
 * market looks the same for minutes. So nothing is judged before it is asked:
 *
 *     out of the ordinary       the socket is probed: a WebSocket ping, and the venue's own kind where one is known
 *     no answer in 10 s         the socket is dead: the stream loses it, gap `silence`
 *     an answer, silent by far more than chance, and a sibling (another stream of the plugin) speaks as ever
 *                               the topic is dead: this stream alone subscribes anew, gap `silence`
 *     an answer, and no other stream of the plugin could tell: silent 32 times as long as what is no chance
 *                               any more, and for a quarter of an hour
 *                               nobody knows: this stream subscribes anew, once until it speaks again, gap `silence`
 *     an answer otherwise       a quiet market: the next probe comes after twice the silence
 *
 * Why a stream alone subscribes anew at all, and only once: its rhythm cannot tell a closed market from a dead topic, however
 * long it is silent. To subscribe anew when neither is known costs a closed market one dial and one gap record a
 * night, and ends a dead topic, which nothing else would. After that the subscription is fresh, so more of the same
 * silence is the market's. Where several streams of a plugin fall silent together nothing is done: a closed market
 * is the better explanation, and they would all dial.
 *
 * Data is what the plugin publishes: heartbeats, acknowledgements and whatever else it makes nothing of do not
 * count. Waiting readers and messages that wait for the plugin are no silence. The user may set a limit in
 * place of all that, or none (stream_plugin.quiet_after_ms). */
#ifndef STREAM_LIVENESS_H
#define STREAM_LIVENESS_H

#include "loop/loop.h"
#include "stream/rhythm.h"

#define LIVENESS_NEVER UINT32_MAX

struct stream;

typedef struct liveness {
    rhythm rhythm;
    timer watch;
    uint64_t since;  /* clock_mono: the silence counts from here */
    uint64_t probed; /* clock_mono: a probe is under way since; 0: none */
    uint64_t asked;  /* how long it had been silent at the last probe that was answered; 0: none in this silence */
    bool renewed;    /* it subscribed anew in this silence */
    uint64_t data;   /* clock_real: when the message of the last data arrived */
} liveness;

void liveness_init(struct stream *s);
void liveness_live(struct stream *s);                   /* it is live, or its reader or socket goes on: a new silence */
void liveness_stop(struct stream *s);                   /* not live */
void liveness_data(struct stream *s, uint64_t recv_ns); /* it published; no allocation, no system call */

#endif
