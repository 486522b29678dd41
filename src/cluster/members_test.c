/* Who has what: an even share for each node, and only a lost node's share moves. */
#include "cluster/inside.h"
#include "tests/lib/test.h"

#include <stdlib.h>

#define NODES 10
#define KEYS 10000

static cluster c;

static void begin(void)
{
    c = (cluster){.members = map_new(), .grace_ns = 60 * NS_PER_S};
    for (int i = 0; i < NODES; i++) {
        member *m = calloc(1, sizeof *m);
        snprintf(m->id, sizeof m->id, "%016x", 0x1234567u * (unsigned)(i + 1));
        snprintf(m->session, sizeof m->session, "s%d", i);
        m->since = 0;
        CHECK(map_set(c.members, bytes_of(m->id), m, NULL));
    }
}

static const char *key_of(int i)
{
    static char key[KEY_TEXT + 2];
    char name[32];
    snprintf(name, sizeof name, "trades.woox.S%d", i);
    memcpy(key, "t.", 2);
    cluster_key(key + 2, bytes_of(name));
    return key;
}

TEST(members, each_has_its_share)
{
    int count[NODES] = {0};
    begin();
    for (int i = 0; i < KEYS; i++)
        count[atoi(member_for(&c, key_of(i), false)->session + 1)]++;
    for (int n = 0; n < NODES; n++)
        CHECK(count[n] > KEYS / NODES * 8 / 10 && count[n] < KEYS / NODES * 12 / 10);
    members_free(&c);
}

TEST(members, only_the_share_of_who_is_gone_moves)
{
    static const member *before[KEYS];
    begin();
    for (int i = 0; i < KEYS; i++)
        before[i] = member_for(&c, key_of(i), false);
    member *gone = (member *)before[0];
    gone->session[0] = '\0';
    for (int i = 0; i < KEYS; i++) {
        const member *now = member_for(&c, key_of(i), false);
        CHECK(before[i] == gone ? now != gone : now == before[i]);
    }
    members_free(&c);
}

TEST(members, a_new_one_gets_nothing_that_runs_before_its_grace_is_over)
{
    begin();
    for (int i = 0; i < KEYS; i++) {
        member *m = (member *)member_for(&c, key_of(i), false);
        m->since = clock_mono();
        CHECK(member_for(&c, key_of(i), true) != m);
        m->since = 0;
        CHECK(member_for(&c, key_of(i), true) == m);
    }
    members_free(&c);
}

TEST(members, a_session_is_alive_by_its_name)
{
    begin();
    const member *m = member_for(&c, "x", false);
    CHECK(session_alive(&c, m->id, m->session));
    CHECK(!session_alive(&c, m->id, "another"));
    CHECK(!session_alive(&c, m->id, ""));
    CHECK(!session_alive(&c, "nobody", m->session));
    members_free(&c);
}
