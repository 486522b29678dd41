/* talk_inside.h: what the loop's side of the talk (talk.c) and the thread's (talk_nats.c) share. Whatever stands below `lock`
 * belongs to both and is touched with it held; the rest is one side's. */
#ifndef CLUSTER_TALK_INSIDE_H
#define CLUSTER_TALK_INSIDE_H

#include <pthread.h>

#include "base/list.h"
#include "base/map.h"
#include "cluster/talk.h"

/* On its way out. */
typedef struct parcel {
    list_node node;
    uint64_t number;               /* 0: nobody waits for an answer */
    const char *subject, *headers; /* the headers a line each, "Name: value" */
    bytes data;
    char room[];
} parcel;

/* On its way in. */
typedef struct came {
    list_node node;
    bool answer;
    uint64_t number; /* of an answer */
    talk_message message;
    size_t octets;
    char room[];
} came;

/* Waits for an answer. */
typedef struct waiting {
    list_node node;
    uint64_t number, asked_at;
    bool unmapped; /* there was no memory for its place in the map: it is searched for */
    talk_done fn;
    void *arg;
} waiting;

struct talk {
    /* the loop's */
    loop *loop;
    loop_io *io;
    map *waiting;  /* number -> waiting */
    list in_order; /* the same, oldest first */
    list spare;    /* waitings that are used again: whoever asks must hear, also without memory */
    size_t spare_count, unmapped;
    timer late;
    uint64_t numbers, answer_ns;
    bool up, running;
    void (*on_message)(void *arg, const talk_message *m);
    void *arg;

    /* set before the thread begins */
    char *servers, *name;
    uint32_t replicas;
    uint64_t records_octets, records_ms;
    int event;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t wake;   /* the thread: something to send, closed, or the end */
    pthread_cond_t room;   /* the library's threads: the loop has taken something */
    list out, in, records; /* `in`: all but records, which must not keep the rest waiting */
    size_t in_octets;
    uint64_t next_record; /* the place behind the last record that was handed over */
    unsigned callers;     /* the library may still call us so often */
    bool ending, closed;
};

void *talk_thread(void *t);
void talk_ring(talk *t); /* wakes the loop */

#endif
