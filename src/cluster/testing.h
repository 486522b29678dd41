/* testing.h: a cluster whose NATS is played: no server is there (nothing listens at port 1), what would come from one is put into the
 * queue that the talk's thread fills, and whatever is asked is answered. */
#ifndef CLUSTER_TESTING_H
#define CLUSTER_TESTING_H

#include <stdio.h>
#include <stdlib.h>

#include "cluster/inside.h"
#include "cluster/talk_inside.h"
#include "node/node.h"

#define PLAYED_SERVERS "nats://127.0.0.1:1"

/* False: out of memory. */
static inline bool played_put(talk *t, const came *what, const char *subject, bytes data)
{
    size_t len = strlen(subject) + 1;
    came *m = malloc(sizeof *m + len + data.len);
    if (!m)
        return false;
    *m = *what;
    m->octets = sizeof *m + len + data.len;
    m->message.subject = memcpy(m->room, subject, len);
    m->message.run = m->message.text = "";
    if (data.len)
        memcpy(m->room + len, data.at, data.len);
    m->message.data = bytes_make(m->room + len, data.len);
    pthread_mutex_lock(&t->lock);
    t->in_octets += m->octets;
    list_push(!m->answer && m->message.kind == TALK_RECORD ? &t->records : &t->in, &m->node);
    pthread_mutex_unlock(&t->lock);
    talk_ring(t);
    return true;
}

/* Of the oldest that waits; NULL data: as a server that took it. False: nobody waits, or memory is out. */
static inline bool played_answer(talk *t, const char *data, uint64_t *seq)
{
    char taken[96];
    if (list_empty(&t->in_order))
        return false;
    came m = {.answer = true, .number = LIST_OWNER(t->in_order.head.next, waiting, node)->number};
    snprintf(taken, sizeof taken, "{\"stream\":\"KV_WEIR\",\"seq\":%llu}", (unsigned long long)++*seq);
    return played_put(t, &m, "", bytes_of(data ? data : taken));
}

static inline bool played_row(talk *t, const char *key, const char *json, uint64_t *seq)
{
    came m = {.message = {.kind = TALK_ROW, .seq = ++*seq}};
    return played_put(t, &m, key, bytes_of(json));
}

/* The thread finds no server; behind that it says nothing more. Then it is as if one were there. */
static inline void played_up(cluster *c)
{
    for (int i = 0; i < 200 && !strstr(c->why, "cannot be connected"); i++)
        node_step(c->n, 5);
    talk_message up = {.kind = TALK_UP, .seq = 1, .subject = "", .run = "", .text = ""};
    c->talk->up = true;
    c->talk->on_message(c, &up);
}

#endif
