/* What other nodes may leave in NATS, and what it answers: rows of the bucket, records, answers, questions for a whole. The input's first line says
 * which: "row KEY", "gone KEY", "record NAME", "answer", "whole"; the rest is its data, up to a line "--" with another one behind it. The node takes it or refuses it; its readers'
 * account adds up, each note is answered once at most, and no record leaves it under another's fence. */
#include <assert.h>
#include <ftw.h>
#include <unistd.h>

#include "base/log.h"
#include "cluster/testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEXT "\n--\n"

static char dir[] = "/tmp/weir-cluster-fuzz-XXXXXX";
static node *n;
static cluster *c;
static uint64_t seq;

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s, (void)type, (void)f;
    return remove(path);
}

static void tear_down(void)
{
    cluster_free(c);
    node_free(n);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void set_up(void)
{
    weir_error err = WEIR_ERROR_INIT;
    node_options o = {.data_dir = dir, .history_flush_ms = 50};
    cluster_options more = {.servers = PLAYED_SERVERS, .lease_ms = 600000, .unkept = true};
    if (!mkdtemp(dir))
        abort();
    log_threshold = LOG_OFF;
    o.host = (weir_host_options)WEIR_HOST_OPTIONS_INIT;
    if (node_new(&n, &o, &err) || cluster_new(&c, n, &more, &err))
        abort();
    node_start(n);
    atexit(tear_down);
    played_up(c);
}

static void on_answer(void *arg, const talk_answer *a)
{
    unsigned *count = arg;
    assert(a->error && (!a->code || *a->error));
    ++*count;
}

/* One note that waits, and this as the server's answer to it. */
static void answer(bytes data)
{
    static unsigned asked, answers; /* it may be answered in a later call */
    char *text = bytes_dup(data);
    asked++;
    talk_last(c->talk, TALK_ROWS_STREAM, "x", on_answer, &answers);
    while (!list_empty(&c->talk->in_order) && text && !memchr(data.at ? data.at : "", '\0', data.len) && played_answer(c->talk, text, &seq))
        node_step(n, 0);
    assert(answers <= asked);
    free(text);
}

static void come(talk_kind kind, const char *subject, bytes data, bool deleted)
{
    seq++;
    came m = {.message = {.kind = kind, .seq = seq, .deleted = deleted, .epoch = seq, .book = 3}};
    played_put(c->talk, &m, subject, data);
}

static void one(bytes input)
{
    char line[300];
    const char *stop = input.len ? memchr(input.at, '\n', input.len) : NULL;
    if (!stop || (size_t)(stop - input.at) >= sizeof line || memchr(input.at, '\0', (size_t)(stop - input.at)))
        return; /* subjects are texts */
    snprintf(line, sizeof line, "%.*s", (int)(stop - input.at), input.at);
    bytes rest = bytes_make(stop + 1, input.len - (size_t)(stop + 1 - input.at));
    if (!strncmp(line, "row ", 4))
        come(TALK_ROW, line + 4, rest, false);
    else if (!strncmp(line, "gone ", 5))
        come(TALK_ROW, line + 5, rest, true);
    else if (!strncmp(line, "record ", 7))
        come(TALK_RECORD, line + 7, rest, false);
    else if (!strcmp(line, "whole"))
        carry_whole(c, rest);
    else if (!strcmp(line, "answer"))
        answer(rest);
    c->settled = true; /* rows are taken whatever the cluster is called */
    for (int i = 0; i < 4; i++)
        node_step(n, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_error err = WEIR_ERROR_INIT;
    bytes rest = bytes_make(data, size);
    if (!n)
        set_up();
    while (rest.len) {
        const char *end = memmem(rest.at, rest.len, NEXT, strlen(NEXT));
        size_t len = end ? (size_t)(end - rest.at) : rest.len, past = end ? len + strlen(NEXT) : len;
        one(bytes_make(rest.at, len));
        rest = bytes_make(rest.at + past, rest.len - past);
    }
    assert(!c->figures.carried && hub_account_check(node_hub(n), &err));
    return 0;
}
