/* sink.h: the ways out. A sink takes records and brings them to a file, a pipe, a terminal, a server.
 *
 * One ops table for each kind, one line for each in the registry (sink.c); a new sink is a file, a
 * line, a page in the docs, and the tests it inherits (suite_test.c runs for every line).
 *
 * A sink has no loop. The host joins it to a subscriber:
 *
 *     on_ready of the sub    ->  schedule drain
 *     drain                  ->  switch (sink_drain(k, s, 1024)) {
 *                                SINK_MORE:     schedule drain again
 *                                SINK_DONE:     wait for on_ready; poll sink_fd if sink_wants_write
 *                                SINK_BLOCKED:  poll sink_fd for writing if sink_wants_write, then drain again
 *                                SINK_FAILED:   sink_why says why; unsubscribe, close
 *     timer at sink_next_tick -> sink_tick, then drain
 *     sink_hears              -> poll sink_fd for reading all the time; drain when it is readable
 *
 * A sink whose other end can be away for a while (a server) does not fail then: it waits, says for what
 * (sink_get_state, sink_waits_for), keeps what was not acknowledged, and sends it again.
 *
 * All text that came from a plugin or a venue is escaped before it reaches a terminal. */
#ifndef SINK_SINK_H
#define SINK_SINK_H

#include "hub/hub.h"

typedef struct sink sink;

typedef enum sink_result {
    SINK_ACCEPTED,    /* the sink has it; it is written or will be */
    SINK_WOULD_BLOCK, /* not taken: ask again when sink_fd is writable (or readable, if it hears), or after its tick */
    SINK_ERROR,       /* not taken, and none will be: sink_why */
} sink_result;

/* accepted = written + buffered + lost, at any moment. */
typedef struct sink_account {
    uint64_t accepted;
    uint64_t written; /* the last octet went to the kernel (table: took its row); a server that acknowledges: it did */
    uint64_t buffered;
    uint64_t lost;     /* buffered when the other end went away for good, or the other end never takes such a one */
    uint64_t octets;   /* of lines: gone to the kernel, or acknowledged */
    uint64_t again;    /* sent once more, since the first time was not acknowledged */
    uint64_t doubles;  /* of them: the other end says that it had them */
    uint64_t connects; /* how often the other end was reached */
} sink_account;

typedef enum sink_state {
    SINK_OPEN,    /* takes records and brings them on */
    SINK_WAITING, /* for its other end: sink_waits_for; takes records until its window is full */
    SINK_CLOSED,  /* failed for good: sink_why */
} sink_state;

/* What the host knows and the table's status line shows. */
typedef struct sink_figures {
    uint64_t received, delivered, dropped, gaps, restarts;
    uint64_t started_mono_ns;
} sink_figures;

typedef enum sink_colour { SINK_COLOUR_AUTO,
                           SINK_COLOUR_NEVER,
                           SINK_COLOUR_ALWAYS } sink_colour;

typedef struct sink_options {
    const char *path; /* "-" or NULL with fd < 0: stdout; else a file or a FIFO, created 0666 less umask */
    bool append;      /* a file: keep what is there */
    int fd;           /* used instead of path when >= 0 and path is NULL; stays the caller's */
    /* the table */
    sink_colour colour;                            /* AUTO: on a terminal, unless NO_COLOR is set and not empty, or TERM is dumb */
    unsigned columns, rows;                        /* 0: ask the terminal, else 80 by 24 */
    void (*figures)(void *arg, sink_figures *out); /* may be NULL: the sink's own counts */
    void *figures_arg;
} sink_options;
/* clang-format off */
#define SINK_OPTIONS_INIT {.fd = -1}
/* clang-format on */

typedef struct sink_ops {
    const char *name; /* what follows --sink, before a colon */
    const char *help; /* one line */
    /* Reaches its target or says why not. */
    weir_code (*open)(sink **out, const sink_options *options, weir_error *err);
    /* Takes the record (a reference of its own if it keeps it) or does not; never half. */
    sink_result (*write)(sink *s, record *r);
    /* Brings on its way what is buffered. ACCEPTED: all of it has gone. */
    sink_result (*flush)(sink *s);
    /* Tries a last flush that does not wait, leaves the target as it was found, frees. */
    void (*close)(sink *s);
    /* Of a sink whose close may wait for its other end: begins to close, which takes `ms` at most; ahead of it, and again
     * with less. `left`: close would not wait any more. Both may be NULL */
    void (*leave)(sink *s, uint64_t ms);
    bool (*left)(sink *s);
    void (*account)(const sink *s, sink_account *out);
    int (*fd)(const sink *s);                                 /* to poll; -1: nothing to poll. May be NULL */
    bool hears;                                               /* fd is the same one all the time, and readable when flush has news */
    bool (*wants_write)(const sink *s);                       /* something is buffered that the kernel did not take. May be NULL */
    uint64_t (*next_tick)(const sink *s);                     /* clock_mono of the next tick it wants, 0: none. May be NULL */
    void (*tick)(sink *s, uint64_t mono_ns);                  /* may be NULL */
    void (*resize)(sink *s, unsigned columns, unsigned rows); /* 0, 0: ask the terminal. May be NULL */
    uint64_t (*oldest)(const sink *s);                        /* ts_out of the oldest record that is buffered, 0: none. May be NULL */
} sink_ops;

/* Every implementation's struct begins with this. */
struct sink {
    const sink_ops *ops;
    weir_error why;          /* set once it failed; .code is WEIR_CLOSED when the reader just went away (EPIPE) */
    weir_error waits;        /* set while it waits for its other end */
    uint64_t data, data_max; /* data records taken so far; and at most, 0: no limit (sink_limit) */
};

/* The registry. */
const sink_ops *sink_find(const char *name); /* NULL: no such sink */
const sink_ops *sink_each(size_t index);     /* NULL behind the last */

/* `spec` is NAME, NAME:PATH or NAME:+PATH (append), for instance "ndjson", "ndjson:-", "ndjson:out.jsonl",
 * "ndjson:+out.jsonl", "table", or a URL whose scheme is NAME ("redis://host:6379/0?stream=weir", docs/sinks.md); what it
 * says of the target overrides `options` (may be NULL).
 * WEIR_NOT_FOUND: no such sink; the text lists them. No text has a secret of the spec in it. */
weir_code sink_open(sink **out, const char *spec, const sink_options *options, weir_error *err);
/* `spec` with *** for its secrets, cut at `size`. */
void sink_mask(char *out, size_t size, const char *spec);
sink_result sink_write(sink *s, record *r);
sink_result sink_flush(sink *s);
void sink_close(sink *s); /* NULL is fine */
/* Nothing is written any more; what was goes out meanwhile, without waiting here, for `ms` at most. Drain and flush go on. */
void sink_leave(sink *s, uint64_t ms);
bool sink_left(sink *s); /* sink_close would not wait */
sink_account sink_read_account(const sink *s);
bool sink_account_adds_up(const sink_account *a);
int sink_fd(const sink *s);
bool sink_hears(const sink *s);
sink_state sink_get_state(const sink *s);
const weir_error *sink_waits_for(const sink *s); /* its code is WEIR_OK when it does not wait */
uint64_t sink_oldest(const sink *s);
bool sink_wants_write(const sink *s);
uint64_t sink_next_tick(const sink *s);
void sink_tick(sink *s, uint64_t mono_ns);
void sink_resize(sink *s, unsigned columns, unsigned rows);
const weir_error *sink_why(const sink *s);
/* From now on sink_drain takes `max` data records, then leaves out data and gaps; 0: no limit. */
void sink_limit(sink *s, uint64_t max);

/* Hop 8: moves up to `max` records from the queue to the sink, and flushes when the queue is empty. */
typedef enum sink_progress { SINK_DONE,
                             SINK_MORE,
                             SINK_BLOCKED,
                             SINK_FAILED } sink_progress;
sink_progress sink_drain(sink *s, sub *from, size_t max);

#endif
