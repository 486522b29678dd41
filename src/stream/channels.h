/* channels.h: which channels of a connection the one that is to take its place brings, too.
 *
 * A connection may be subscribed to many channels, and nothing tells the host what one is. But what the initial messages
 * name, "trade@SPOT_BTC_USDT", or "books" and "BTC-USDT", the frames name as well. So a frame's channel is which of the
 * strings in the initial messages stand in its beginning; where it holds none (Binance's raw streams), all are one channel.
 *
 *     initial     {"cmd":"SUBSCRIBE","params":["trade@A","trade@B"]}
 *     old         trade@A  trade@B        new   the answer  trade@A        -> trade@B is late
 *
 * A channel may be silent meanwhile. That the new one is subscribed to it tells a message that names its strings, as most venues' answers
 * do (channels_answered); where none does, nothing tells.
 *
 * Frequent only while two connections are open, and then a few microseconds; no message costs memory. */
#ifndef STREAM_CHANNELS_H
#define STREAM_CHANNELS_H

#include "base/bytes.h"

#define CHANNELS_MAX 256           /* strings, and channels; the rest is one with the last */
#define CHANNELS_OCTETS 1024u      /* of a frame are looked at */
#define CHANNELS_ANSWER (1u << 16) /* of one that may be an answer, which lists them all */

typedef struct channels channels;

channels *channels_new(const bytes *messages, size_t count); /* NULL: out of memory */
void channels_free(channels *c);                             /* NULL is fine */

void channels_old(channels *c, bytes text);  /* data that the old connection brought */
void channels_heir(channels *c, bytes text); /* a message of the new one */
/* Whatever channel brought data by the old one while both were open, the new one brings it. */
bool channels_joined(const channels *c);
/* Each of the strings was named by the new one. */
bool channels_answered(const channels *c);

#endif
