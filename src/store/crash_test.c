/* kill -9 at any moment: what was acknowledged is there, what was not is there whole or not at all.
 *
 * A child works on a store and says through a pipe what was acknowledged to it; it is killed after some of that, by chance;
 * then the store is opened here and compared with what came through the pipe. 20 times (WEIR_CRASHES: more), one store for all. */
#include "store/testing.h"

#include "base/digest.h"
#include "base/rand.h"

#include <signal.h>
#include <sys/wait.h>

#define IDS 20

/* What the child was told, and what it had asked for at most. */
typedef struct word {
    char what; /* 'p': thing `id` has at least `value`; 'r': removed; 'h': records up to `value` of stream `id`; 'm': module `value` */
    uint32_t id;
    uint64_t value;
} word;

/* ---- The child ---- */

static int out;
static uint64_t given[IDS], records;
static record_stream *streams[3];

static void say(char what, uint32_t id, uint64_t value)
{
    word w = {what, id, value};
    if (write(out, &w, sizeof w) != sizeof w)
        _exit(0);
}

static void on_put(void *arg, weir_code code, const char *error)
{
    word *w = arg;
    (void)error;
    if (code)
        _exit(7);
    say(w->what, w->id, w->value);
    free(w);
}

static word *remember(char what, uint32_t id, uint64_t value)
{
    word *w = malloc(sizeof *w);
    *w = (word){what, id, value};
    return w;
}

static void put_something(rand_seeded *chance)
{
    uint32_t id = (uint32_t)(rand_next(chance) % IDS);
    char name[16], json[64];
    snprintf(name, sizeof name, "%u", id + 1);
    snprintf(json, sizeof json, "{\"value\":%llu}", (unsigned long long)++given[id]);
    store_put(s, "thing", name, bytes_of(json), bytes_of("a secret"), on_put, remember('p', id, given[id]));
}

static void put_module(rand_seeded *chance)
{
    uint64_t value = rand_next(chance);
    char digest[DIGEST_HEX], octets[20000];
    memset(octets, (int)(value & 0xff), sizeof octets);
    memcpy(octets, &value, sizeof value);
    digest_sha256(digest, bytes_make(octets, sizeof octets));
    store_module_put(s, digest, bytes_make(octets, sizeof octets), on_put, remember('m', 0, value));
}

static void work(uint64_t seed)
{
    rand_seeded chance = {.state = seed};

    if (loop_new(&l, &err) || store_open(&s, l, &options, &err)) {
        fprintf(stderr, "child: %s\n", err.text);
        _exit(8);
    }
    for (uint64_t i = 0;; i++) {
        uint64_t dice = rand_next(&chance) % 100;
        if (dice < 40)
            put_something(&chance);
        else if (dice < 42)
            put_module(&chance);
        else if (dice < 90)
            for (uint64_t n = rand_next(&chance) % 30; n; n--)
                add_numbers(streams[records % 3], records + 1, 1), records++;
        else
            store_flush(s, on_put, remember('h', 0, records));
        loop_step(l, 0);
        if (s->outstanding > 50)
            loop_step(l, 100);
    }
}

/* ---- Here ---- */

static uint64_t least[IDS];    /* what must be there */
static uint64_t least_records; /* of all three streams together, in this round's numbering */
static word modules[64];
static size_t modules_count;
static uint64_t found[IDS];

static void listen_to(int in, uint64_t enough)
{
    word w;
    while (enough-- && read(in, &w, sizeof w) == sizeof w) {
        if (w.what == 'p' && w.value > least[w.id])
            least[w.id] = w.value;
        if (w.what == 'h' && w.value > least_records)
            least_records = w.value;
        if (w.what == 'm' && modules_count < 64)
            modules[modules_count++] = w;
    }
}

static void on_thing(void *arg, const char *id, bytes json, bytes secret, bool sealed)
{
    unsigned long long value;
    (void)arg;
    CHECK(!sealed && bytes_is(secret, "a secret"));
    CHECK(sscanf(json.at, "{\"value\":%llu}", &value) == 1);
    found[strtoul(id, NULL, 10) - 1] = value;
}

static void check_modules(void)
{
    for (size_t i = 0; i < modules_count; i++) {
        char digest[DIGEST_HEX], octets[20000], there[20001];
        buf path;
        memset(octets, (int)(modules[i].value & 0xff), sizeof octets);
        memcpy(octets, &modules[i].value, sizeof modules[i].value);
        digest_sha256(digest, bytes_make(octets, sizeof octets));
        buf_init(&path, 1024);
        store_module_path(s, digest, &path);
        buf_add_char(&path, '\0');
        FILE *f = fopen(path.at, "r");
        CHECK(f && fread(there, 1, sizeof there, f) == sizeof octets);
        fclose(f);
        CHECK_MEM(there, sizeof octets, octets, sizeof octets);
        buf_fini(&path);
    }
}

/* All records in the order in which they were added, none missing in between. */
static uint64_t check_records(void)
{
    store_history_query q = {.pattern = ">"};
    uint64_t next = 1;
    do {
        got g = ask(&q);
        CHECK_INT(g.code, WEIR_OK);
        bytes rest = buf_bytes(&g.lines);
        while (rest.len) {
            const char *end = memchr(rest.at, '\n', rest.len);
            json doc;
            uint64_t value;
            CHECK_OK(json_read(&doc, bytes_make(rest.at, (size_t)(end - rest.at)), &err));
            CHECK(json_u64(json_member(doc, "data"), &value));
            CHECK_UINT(value, next++);
            rest.len -= (size_t)(end + 1 - rest.at);
            rest.at = end + 1;
        }
        q.cursor = g.cursor;
        buf_fini(&g.lines);
    } while (q.cursor);
    return next - 1;
}

static void on_topic(void *arg, const store_topic *t)
{
    (void)arg;
    CHECK(t->resume_seq > t->last_seq + 1000);
}

static void crash_once(uint64_t seed)
{
    int pipes[2], status = 0;
    rand_seeded chance = {.state = seed * 7919};

    CHECK(pipe(pipes) == 0);
    pid_t child = fork();
    if (!child) {
        close(pipes[0]);
        out = pipes[1];
        work(seed);
    }
    close(pipes[1]);
    listen_to(pipes[0], rand_next(&chance) % 120);
    usleep((useconds_t)(rand_next(&chance) % 5000));
    kill(child, SIGKILL);
    listen_to(pipes[0], UINT64_MAX);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(pipes[0]);

    open_store();
    memset(found, 0, sizeof found);
    CHECK_OK(store_load(s, "thing", on_thing, NULL, &err));
    for (int i = 0; i < IDS; i++) {
        CHECK(found[i] >= least[i]);
        given[i] = least[i] = found[i];
    }
    check_modules();
    uint64_t there = check_records();
    CHECK(there >= least_records);
    CHECK_UINT(store_read_figures(s).history_records, there);
    records = least_records = there;
    if (!store_ended_well(s)) /* else it was killed before it had begun */
        store_history_topics(s, on_topic, NULL);
    close_store();
}

TEST(crash, kill_9_takes_nothing_that_was_acknowledged)
{
    const char *asked = getenv("WEIR_CRASHES");
    int rounds = asked ? atoi(asked) : 20;

    set_up();
    for (int i = 0; i < 3; i++)
        streams[i] = stream_of("trades", (const char *[]){"A", "B", "C"}[i], 0);
    for (int i = 0; i < rounds; i++)
        crash_once((uint64_t)i + 1);
    CHECK(least_records > 0 && modules_count > 0);
    for (int i = 0; i < 3; i++)
        record_stream_unref(streams[i]);
    tear_down();
}
