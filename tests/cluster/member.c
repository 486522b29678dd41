/* member: a node of a cluster as a process, told what to do by lines, without the API above it.
 *
 *     member FOLDER NAME SERVERS VENUE_PORT LEASE_MS GRACE_MS GUARD(0|1) RECORDS_FILE
 *
 * stdin:  NUMBER TAB OP TAB ID TAB BODY      (a body "@FILE": its octets); "leave", "quit"
 * stdout: {"number":1,"code":"OK","json":{...},"error":""}
 * Every record of its hub goes to RECORDS_FILE as a line, at once. The log is on stderr. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "cluster/cluster.h"
#include "host/embed.h"

typedef struct member {
    node *n;
    cluster *c;
    sub *records;
    loop_io *in;
    buf line;
    int file;
    bool over;
} member;

typedef struct question {
    char number[24];
} question;

static void on_answer(void *arg, weir_code code, bool created, bytes json, const char *error)
{
    question *q = arg;
    buf out;
    (void)created;
    buf_init(&out, 256u << 20);
    buf_add_fmt(&out, "{\"number\":%s,\"code\":\"%s\",\"json\":", q->number, weir_code_name(code));
    buf_add_bytes(&out, json.len ? json : BYTES("null"));
    json_put_member(&out, "error", bytes_of(error ? error : ""));
    buf_add_text(&out, "}\n");
    fwrite(out.at, 1, out.len, stdout);
    fflush(stdout);
    buf_fini(&out);
    free(q);
}

static void on_left(void *arg)
{
    ((member *)arg)->over = true;
}

static void ask_it(member *m, char *line)
{
    char *part[4] = {line, NULL, NULL, NULL};
    question *q = calloc(1, sizeof *q);
    buf octets;
    weir_error err = WEIR_ERROR_INIT;
    buf_init(&octets, 64u << 20);
    for (int i = 1; i < 4; i++)
        if ((part[i] = strchr(part[i - 1], '\t')))
            *part[i]++ = '\0';
        else
            part[i] = part[i - 1] + strlen(part[i - 1]);
    snprintf(q->number, sizeof q->number, "%s", part[0]);
    node_question ask = {.op = part[1], .id = *part[2] ? part[2] : NULL, .body = bytes_of(part[3]), .who = "test"};
    if (*part[3] == '@') {
        if (file_read(&octets, part[3] + 1, &err))
            fprintf(stderr, "%s\n", err.text);
        ask.body = buf_bytes(&octets);
    }
    node_ask(m->n, &ask, on_answer, q);
    buf_fini(&octets);
}

static void on_line(member *m, char *line)
{
    if (!strcmp(line, "quit"))
        m->over = true;
    else if (!strcmp(line, "leave"))
        cluster_leave(m->c, on_left, m);
    else
        ask_it(m, line);
}

static void on_input(void *arg, int events, int error)
{
    member *m = arg;
    char room[65536];
    (void)events, (void)error;
    ssize_t n = read(STDIN_FILENO, room, sizeof room);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        m->over = true;
        return;
    }
    if (n > 0)
        buf_add(&m->line, room, (size_t)n);
    for (char *end; m->line.len && (end = memchr(m->line.at, '\n', m->line.len));) {
        size_t len = (size_t)(end - m->line.at);
        char *line = bytes_dup(bytes_make(m->line.at, len));
        buf_consume(&m->line, len + 1);
        on_line(m, line);
        free(line);
    }
}

static void on_record(sub *s, void *arg)
{
    member *m = arg;
    for (record *r; (r = sub_next(s));) {
        if (write(m->file, r->line.at, r->line.len + 1) < 0)
            perror("records");
        record_unref(r);
    }
}

static weir_code begin(member *m, char **argv, weir_error *err)
{
    static char overrides[3][128];
    static const char *list[4] = {overrides[0], overrides[1], overrides[2], NULL};
    snprintf(overrides[0], 128, "https://api.woox.io=http://127.0.0.1:%s", argv[4]);
    snprintf(overrides[1], 128, "https://api-pub.woox.io=http://127.0.0.1:%s", argv[4]);
    snprintf(overrides[2], 128, "wss://wss.woox.io=ws://127.0.0.1:%s", argv[4]);
    node_options o = {.data_dir = argv[1], .name = argv[2], .history_flush_ms = 20, .uploads_approved = true, .host = WEIR_HOST_OPTIONS_INIT};
    o.host.silence_ms = 60000;
    o.host.backoff_min_ms = 50;
    o.host.backoff_max_ms = 200;
    o.host.overrides = list;
    cluster_options c = {.servers = argv[3], .lease_ms = strtoull(argv[5], NULL, 10), .grace_ms = strtoull(argv[6], NULL, 10), .unkept = *argv[7] == '0'};
    sub_options s = {.policy = SUB_DROP_OLDEST, .on_ready = on_record, .arg = m};
    m->file = open(argv[8], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (m->file < 0 || node_new(&m->n, &o, err) || hub_subscribe(&m->records, node_hub(m->n), ">", &s, err) || cluster_new(&m->c, m->n, &c, err) ||
        io_open(&m->in, node_loop(m->n), STDIN_FILENO, on_input, m, err) || io_want(m->in, IO_READ))
        return err->code ? err->code : error_set(err, WEIR_SYSTEM, "'%s' cannot be opened", argv[8]);
    node_start(m->n);
    return WEIR_OK;
}

static void say(void *arg, log_level level, const char *part, const char *text)
{
    (void)arg;
    fprintf(stderr, "%llu %s %s: %s\n", (unsigned long long)clock_mono(), log_level_name(level), part, text);
}

int main(int argc, char **argv)
{
    weir_error err = WEIR_ERROR_INIT;
    member m = {.file = -1};
    if (argc != 9) {
        fputs("usage: member FOLDER NAME SERVERS VENUE_PORT LEASE_MS GRACE_MS GUARD(0|1) RECORDS_FILE\n", stderr);
        return 2;
    }
    log_set_sink(say, NULL);
    log_threshold = LOG_INFO;
    buf_init(&m.line, 16u << 20);
    if (begin(&m, argv, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("{\"number\":0,\"code\":\"OK\"}\n");
    fflush(stdout);
    while (!m.over)
        node_step(m.n, -1);
    io_close(m.in);
    cluster_free(m.c);
    node_free(m.n);
    buf_fini(&m.line);
    return 0;
}
