/* The tap: see records.h. Linked only into tests that make records, since only they refer to record_new. */
#include "tests/lib/records.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "hub/record.h"
#include "tests/lib/test.h"

#define OF_A_SHAPE 20
#define OF_A_TEST 2000
#define SHAPES (1u << 12)

record *__real_record_new(record_stream *s, uint64_t ts_event, uint64_t ts_recv, bytes data);
record *__real_record_whole_new(record_stream *s, uint64_t seq, uint64_t ts_event, uint64_t ts_recv, bytes data);
record *__real_record_gap_new(record_stream *s, const record_gap *gap);
record *__real_record_status_new(record_stream *s, record_state state, const char *why);
record *__wrap_record_new(record_stream *s, uint64_t ts_event, uint64_t ts_recv, bytes data);
record *__wrap_record_whole_new(record_stream *s, uint64_t seq, uint64_t ts_event, uint64_t ts_recv, bytes data);
record *__wrap_record_gap_new(record_stream *s, const record_gap *gap);
record *__wrap_record_status_new(record_stream *s, record_state state, const char *why);

static struct {
    pthread_mutex_t lock;
    bool asked;
    FILE *file;
    const test_case *test;
    unsigned kept; /* of this test */
    struct {
        uint64_t hash;
        unsigned count;
    } shapes[SHAPES];
} tap = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void open_file(void)
{
    char path[4096];
    const char *folder = getenv("WEIR_RECORDS");
    tap.asked = true;
    if (!folder || !*folder)
        return;
    snprintf(path, sizeof path, "%s/%s-%ld.ndjson", folder, program_invocation_short_name, (long)getpid());
    tap.file = fopen(path, "we");
    if (!tap.file)
        fprintf(stderr, "records: '%s' cannot be written: %s\n", path, strerror(errno));
}

static const char *string_end(const char *at, const char *end)
{
    while (at < end && *at != '"')
        at += *at == '\\' ? 2 : 1;
    return at < end ? at : end;
}

/* A hash of what is no value: brackets and names. */
static uint64_t shape_of(bytes line, unsigned variant)
{
    uint64_t hash = UINT64_C(14695981039346656037) + variant;
    const char *at = line.at, *end = at + line.len;
    while (at < end) {
        const char *from = at;
        if (*at == '"') {
            at = string_end(at + 1, end);
            at += at < end;
            if (at == end || *at != ':')
                continue;
        } else if (!strchr("{}[]n", *at)) {
            at++;
            continue;
        } else {
            at++;
        }
        for (; from < at; from++)
            hash = (hash ^ (unsigned char)*from) * UINT64_C(1099511628211);
    }
    return hash | 1;
}

/* Whether this is among the first of its shape. */
static bool wanted(uint64_t hash)
{
    size_t at = hash % SHAPES;
    for (size_t tried = 0; tried < 64; tried++, at = (at + 1) % SHAPES) {
        if (!tap.shapes[at].hash)
            tap.shapes[at].hash = hash;
        if (tap.shapes[at].hash == hash)
            return tap.shapes[at].count++ < OF_A_SHAPE;
    }
    return false;
}

void test_keep_record(bytes line, unsigned variant)
{
    pthread_mutex_lock(&tap.lock);
    if (!tap.asked)
        open_file();
    if (tap.file && test_running() != tap.test) {
        tap.test = test_running();
        tap.kept = 0;
        memset(tap.shapes, 0, sizeof tap.shapes);
    }
    if (tap.file && tap.kept < OF_A_TEST && wanted(shape_of(line, variant))) {
        tap.kept++;
        if (tap.test)
            fprintf(tap.file, "%s.%s\t", tap.test->suite, tap.test->name);
        fwrite(line.at, 1, line.len, tap.file);
        fputc('\n', tap.file);
        fflush(tap.file); /* a child of the test must not write it once more */
    }
    pthread_mutex_unlock(&tap.lock);
}

void test_keep_no_more_records(void)
{
    tap.test = test_running();
    tap.kept = OF_A_TEST;
}

void test_keep_records(bytes text)
{
    const char *at = text.at, *end = at + text.len, *newline;
    for (; at < end && (newline = memchr(at, '\n', (size_t)(end - at))); at = newline + 1) {
        bytes line = bytes_make(at, (size_t)(newline - at));
        if (bytes_starts(line, BYTES("{\"seq\":")) || bytes_starts(line, BYTES("{\"kind\":")))
            test_keep_record(line, 0);
    }
}

static record *keep(record *r)
{
    if (r)
        test_keep_record(r->line, r->kind << 8 | r->state << 4 | r->cause);
    return r;
}

record *__wrap_record_new(record_stream *s, uint64_t ts_event, uint64_t ts_recv, bytes data)
{
    return keep(__real_record_new(s, ts_event, ts_recv, data));
}

record *__wrap_record_whole_new(record_stream *s, uint64_t seq, uint64_t ts_event, uint64_t ts_recv, bytes data)
{
    return keep(__real_record_whole_new(s, seq, ts_event, ts_recv, data));
}

record *__wrap_record_gap_new(record_stream *s, const record_gap *gap)
{
    return keep(__real_record_gap_new(s, gap));
}

record *__wrap_record_status_new(record_stream *s, record_state state, const char *why)
{
    return keep(__real_record_status_new(s, state, why));
}
