/* A venue that allows one session: of each topic, and one account for all topics whose name holds `account`. Who asks for another while the
 * first one is there, or for `linger_ms` behind its end (a venue notices late that a socket is gone), is hung up on.
 *
 * A topic's session is a connection. An account's session are all connections that ask for the same host (the Host header): a
 * test gives each client a door of its own. */
#include "sim/inside.h"

#include <stdlib.h>

typedef struct session {
    char who[80];
    size_t topics;
    uint64_t until; /* wall ms; it is held so long after its last topic */
} session;

static bytes session_key(const sim *s, bytes topic)
{
    const char *account = s->options.account;
    return account && topic.len && memmem(topic.at, topic.len, account, strlen(account)) ? BYTES("account") : topic;
}

static session *session_get(sim *s, bytes key)
{
    session *x = map_get(s->sessions, key);
    if (!x && (x = calloc(1, sizeof *x)) && !map_set(s->sessions, key, x, NULL)) {
        free(x);
        return NULL;
    }
    return x;
}

static void put_who(const client *c, bytes key, char out[80])
{
    if (bytes_is(key, "account"))
        snprintf(out, 80, "%s", c->host);
    else
        snprintf(out, 80, "%llu", (unsigned long long)c->number);
}

bool strict_enter(client *c, bytes topic)
{
    sim *s = c->sim;
    char who[80];
    bytes key = session_key(s, topic);
    if (!s->options.one_session)
        return true;
    session *x = session_get(s, key);
    if (!x)
        return false;
    put_who(c, key, who);
    if (strcmp(x->who, who) != 0 && (x->topics || sim_wall_ms(s) < x->until)) {
        if (s->options.on_refused)
            s->options.on_refused(s->options.on_topic_arg, c->number, topic, x->topics > 0);
        s->stats.refused++;
        c->stalled = true; /* once that is said */
        server_ws_close(c->ws, 1008, BYTES("another session is there"));
        return false;
    }
    memcpy(x->who, who, sizeof who);
    x->topics++;
    return true;
}

void strict_leave(const client *c, bytes topic)
{
    sim *s = c->sim;
    session *x = s->options.one_session ? map_get(s->sessions, session_key(s, topic)) : NULL;
    if (x && x->topics && --x->topics == 0)
        x->until = sim_wall_ms(s) + s->options.linger_ms;
}

void strict_free(sim *s)
{
    size_t at = 0;
    bytes key;
    void *value;
    while (s->sessions && map_each(s->sessions, &at, &key, &value))
        free(value);
    map_free(s->sessions);
}
