/* Questions to a node as anybody may put them: an operation, an id, a name, a query, a body, a line each, the body last.
 * Whatever comes is answered once, within its time, by a code that the API knows and, if it failed, a text. Sinks are not
 * made here: a spec may name any file of this machine. */
#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "node/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/weir-node-fuzz-XXXXXX";
static node *n;
static unsigned answers;

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s, (void)type, (void)f;
    return remove(path);
}

static void tear_down(void)
{
    node_free(n);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void on_answer(void *arg, weir_code code, bool created, bytes json, const char *error)
{
    (void)arg;
    assert(code <= WEIR_BUSY);
    assert(code ? *error && !json.len : !*error);
    assert(!created || !code);
    answers++;
}

static void ask(const char *op, const char *id, const char *name, bytes query, bytes body)
{
    node_question q = {.op = op, .id = id, .name = name, .query = query, .body = body, .who = "fuzz"};
    answers = 0;
    node_ask(n, &q, on_answer, NULL);
    for (uint64_t until = clock_mono() + 60 * NS_PER_S; !answers;) {
        node_step(n, 10);
        assert(clock_mono() < until);
    }
    assert(answers == 1);
}

/* With a plugin that has a form, a connection, a stream. */
static void set_up(void)
{
    weir_error err = WEIR_ERROR_INIT;
    node_options o = {.data_dir = dir, .history_flush_ms = 50};
    const char *guests = getenv("WEIR_GUESTS");
    char path[512];
    buf octets;
    if (!mkdtemp(dir))
        abort();
    weir_log(WEIR_LOG_OFF, NULL, NULL);
    o.host = (weir_host_options)WEIR_HOST_OPTIONS_INIT;
    if (node_new(&n, &o, &err))
        abort();
    atexit(tear_down);
    node_start(n);
    snprintf(path, sizeof path, "%s/form.wasm", guests ? guests : "build/guests");
    buf_init(&octets, 1 << 20);
    if (file_read(&octets, path, &err))
        abort();
    ask("plugins.upload", NULL, NULL, BYTES(""), buf_bytes(&octets));
    buf_fini(&octets);
    ask("connections.create", NULL, NULL, BYTES(""), BYTES("{\"plugin\":\"form\",\"config\":{\"api_key\":\"k\",\"depth\":5,\"pass\":\"p\",\"side\":\"buy\"}}"));
    ask("streams.create", NULL, NULL, BYTES(""), BYTES("{\"connection\":1,\"type\":\"trades\",\"identifier\":\"X\"}"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char part[4][256];
    const char *at = (const char *)data, *end = at + size;
    if (!n)
        set_up();
    for (int i = 0; i < 4; i++) {
        const char *stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        size_t len = (size_t)((stop ? stop : end) - at);
        if (len >= sizeof part[i] || memchr(at, '\0', len))
            return 0; /* who asks passes texts */
        memcpy(part[i], at, len);
        part[i][len] = '\0';
        at = stop ? stop + 1 : end;
    }
    if (!strncmp(part[0], "sinks.", 6) && strcmp(part[0], "sinks.list") != 0)
        return 0;
    ask(part[0], *part[1] ? part[1] : NULL, *part[2] ? part[2] : NULL, bytes_of(part[3]), bytes_make(at, (size_t)(end - at)));
    return 0;
}
