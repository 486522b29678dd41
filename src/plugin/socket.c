/* Reports from the world become state that the guest's next ws_receive sees, and a wake. */
#include "plugin/socket.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "plugin/task.h"

/* Closed sockets that stay known, so that a late ws_receive is told why. */
#define CLOSED_KEPT 16

static void on_room(void *arg)
{
    plug *s = arg;
    if (s->state == PLUG_OPEN && s->session)
        s->task->world->socket_room(s->task->world_arg, s);
}

/* Forgets the oldest closed socket when too many are kept. */
static void forget_one(struct task *t)
{
    uint32_t closed = 0;
    plug *oldest = NULL;
    for (list_node *n = t->sockets.head.next; n != &t->sockets.head; n = n->next) {
        plug *s = LIST_OWNER(n, plug, node);
        if (s->state != PLUG_CLOSED || s->busy)
            continue;
        closed++;
        oldest = oldest ? oldest : s;
    }
    if (closed > CLOSED_KEPT)
        plug_free(oldest);
}

plug *plug_new(struct task *t)
{
    unsigned char random[(PLUG_ID_SIZE - 1) / 2];
    plug *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    forget_one(t);
    rand_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(s->id + 2 * i, 3, "%02x", random[i]);
    s->task = t;
    inbox_init(&s->in, t->policy.limits.inbox, on_room, s);
    list_push(&t->sockets, &s->node);
    t->socket_count++;
    return s;
}

void plug_dials(plug *s, bytes url)
{
    s->url = bytes_hash(url, 0);
}

void plug_free(plug *s)
{
    plug_close(s);
    if (s->task->receive_plug == s)
        s->task->receive_plug = NULL;
    if (s->task->received_from == s)
        s->task->received_from = NULL;
    list_remove(&s->node);
    inbox_fini(&s->in);
    error_keep(&s->why, NULL);
    free(s);
}

plug *plug_find(struct task *t, bytes id)
{
    for (list_node *n = t->sockets.head.next; n != &t->sockets.head; n = n->next) {
        plug *s = LIST_OWNER(n, plug, node);
        if (bytes_is(id, s->id))
            return s;
    }
    return NULL;
}

static void become_closed(plug *s)
{
    if (s->state != PLUG_CLOSED) {
        s->state = PLUG_CLOSED;
        s->task->socket_count--;
    }
}

void plug_close(plug *s)
{
    if (s->session)
        s->task->world->socket_close(s->task->world_arg, s);
    s->session = NULL;
    if (s->state != PLUG_CLOSED)
        error_keep(&s->why, &(weir_error){WEIR_CLOSED, "the plugin closed it"});
    become_closed(s);
    s->task->discarded += s->in.count;
    inbox_fini(&s->in);
}

void plug_give_away(plug *s)
{
    s->session = NULL;
    become_closed(s);
}

inbox *plug_inbox(plug *s)
{
    return s->before && s->draining ? s->before : &s->in;
}

void socket_opened(plug *s)
{
    s->state = PLUG_OPEN;
    task_wake(s->task);
}

bool socket_message(plug *s, bytes text, bool binary, uint64_t recv_ns)
{
    if (s->in.count == 0)
        s->unread_since = loop_now(s->task->loop);
    if (!inbox_put(&s->in, text, binary, recv_ns))
        return false;
    task_wake(s->task);
    return true;
}

void socket_closed(plug *s, const weir_error *why)
{
    s->session = NULL;
    error_keep(&s->why, why);
    become_closed(s);
    task_wake(s->task);
}

void socket_drained(plug *s)
{
    task_wake(s->task);
}
