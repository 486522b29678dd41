/* Modules in pieces: a bucket of their own, "SHA256.N" for each 256 KiB, and "SHA256" with how many there are, written last. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cluster/rows.h"

#define PIECE (256u << 10)
#define MODULE_MAX (256u << 20)

typedef struct moving {
    cluster *c;
    char sha256[65];
    buf octets;
    size_t piece, pieces;
    store_done fn;
    void *arg;
} moving;

static void over(moving *m, weir_code code, const char *error)
{
    m->fn(m->arg, code, error);
    buf_fini(&m->octets);
    free(m);
}

/* It becomes a file's name, and comes from NATS. */
static bool is_sha256(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static moving *moving_new(cluster *c, const char *sha256, store_done fn, void *arg)
{
    moving *m = calloc(1, sizeof *m);
    if (!m || !is_sha256(sha256)) {
        free(m);
        fn(arg, m ? WEIR_INVALID : WEIR_NOMEM, m ? "that is no SHA-256" : "out of memory");
        return NULL;
    }
    *m = (moving){.c = c, .fn = fn, .arg = arg};
    memcpy(m->sha256, sha256, 65);
    buf_init(&m->octets, MODULE_MAX);
    return m;
}

static void subject_of(const moving *m, char out[128], bool head)
{
    if (head)
        snprintf(out, 128, TALK_MODULES "%s", m->sha256);
    else
        snprintf(out, 128, TALK_MODULES "%s.%zu", m->sha256, m->piece);
}

/* ---- Out ---- */

static void on_put(void *arg, const talk_answer *a);

static void put_piece(moving *m)
{
    char subject[128], count[32];
    bool head = m->piece == m->pieces;
    subject_of(m, subject, head);
    snprintf(count, sizeof count, "%zu", m->pieces);
    size_t from = m->piece * PIECE, len = head ? 0 : m->octets.len - from;
    talk_note note = {.subject = subject, .data = head ? bytes_of(count) : bytes_make(m->octets.at + from, len > PIECE ? PIECE : len)};
    talk_send(m->c->talk, &note, on_put, m);
}

static void on_put(void *arg, const talk_answer *a)
{
    moving *m = arg;
    if (a->code)
        over(m, a->code, a->error);
    else if (m->piece == m->pieces)
        over(m, WEIR_OK, "");
    else {
        m->piece++;
        put_piece(m);
    }
}

void module_put(void *arg, const char *sha256, bytes octets, store_done fn, void *fn_arg)
{
    cluster *c = arg;
    if (!talk_is_up(c->talk)) {
        fn(fn_arg, WEIR_CLOSED, "the cluster cannot be reached, and modules go there first");
        return;
    }
    moving *m = moving_new(c, sha256, fn, fn_arg);
    if (!m)
        return;
    buf_add_bytes(&m->octets, octets);
    m->pieces = (octets.len + PIECE - 1) / PIECE;
    if (m->octets.failed)
        over(m, WEIR_NOMEM, "out of memory");
    else
        put_piece(m);
}

static weir_code read_file(const cluster *c, const char *sha256, buf *out, weir_error *err)
{
    buf path;
    buf_init(&path, 1 << 16);
    store_module_path(node_store(c->n), sha256, &path);
    buf_add_char(&path, '\0');
    weir_code code = path.failed ? error_set(err, WEIR_NOMEM, "out of memory") : file_read(out, path.at, err);
    buf_fini(&path);
    return code;
}

void module_bring(cluster *c, const char *sha256, store_done fn, void *arg)
{
    weir_error err = WEIR_ERROR_INIT;
    buf octets;
    buf_init(&octets, MODULE_MAX);
    if (read_file(c, sha256, &octets, &err))
        fn(arg, err.code, err.text);
    else
        module_put(c, sha256, buf_bytes(&octets), fn, arg);
    buf_fini(&octets);
}

/* ---- In ---- */

bool module_is_here(const cluster *c, const char *sha256)
{
    buf path;
    if (!is_sha256(sha256))
        return false;
    buf_init(&path, 1 << 16);
    store_module_path(node_store(c->n), sha256, &path);
    buf_add_char(&path, '\0');
    bool here = !path.failed && access(path.at, R_OK) == 0;
    buf_fini(&path);
    return here;
}

static void on_stored(void *arg, weir_code code, const char *error)
{
    over(arg, code, error);
}

static void get_piece(moving *m);

static void on_piece(void *arg, const talk_answer *a)
{
    moving *m = arg;
    if (a->code) {
        over(m, a->code, a->error);
        return;
    }
    buf_add_bytes(&m->octets, a->data);
    m->piece++;
    get_piece(m);
}

static void get_piece(moving *m)
{
    char subject[128];
    if (m->piece < m->pieces) {
        subject_of(m, subject, false);
        talk_last(m->c->talk, TALK_MODULES_STREAM, subject, on_piece, m);
    } else if (m->octets.failed) {
        over(m, WEIR_NOMEM, "out of memory");
    } else { /* which proves the hash */
        store_module_put(node_store(m->c->n), m->sha256, buf_bytes(&m->octets), on_stored, m);
    }
}

static void on_head(void *arg, const talk_answer *a)
{
    moving *m = arg;
    char text[32];
    if (a->code) {
        over(m, a->code, a->code == WEIR_NOT_FOUND ? "it is not in the cluster's bucket" : a->error);
        return;
    }
    snprintf(text, sizeof text, "%.*s", (int)(a->data.len > 20 ? 20 : a->data.len), a->data.at ? a->data.at : "");
    m->pieces = strtoul(text, NULL, 10);
    if (m->pieces > MODULE_MAX / PIECE)
        over(m, WEIR_INVALID, "it is said to be larger than 256 MiB");
    else
        get_piece(m);
}

void module_get(cluster *c, const char *sha256, store_done fn, void *arg)
{
    char subject[128];
    moving *m = moving_new(c, sha256, fn, arg);
    if (!m)
        return;
    subject_of(m, subject, true);
    talk_last(c->talk, TALK_MODULES_STREAM, subject, on_head, m);
}
