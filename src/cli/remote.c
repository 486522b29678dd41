/* A running `weir serve`: found, asked, and what its refusals mean for who typed the command. */
#include "cli/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"

#define DEFAULT_SERVER "http://127.0.0.1:8080"
#define ADDRESS_FILE "address"
#define ADMIN_FILE "admin.token"
#define TIMEOUT_MS 150000 /* a plugin may take its time to load, and wait for others that do */
#define BODY_MAX (UINT64_C(2) << 30)
#define TOKEN_MAX 4096

struct remote {
    loop *loop;
    dialer *dialer;
    targets *targets;
    char *base;     /* without a slash at its end */
    char *found_by; /* "--server", a file's name ...: where the address is from */
    char *authorization;
    char *token_from;  /* whose it is, for errors; NULL: there is no token */
    char *token_note;  /* why there is none, if that can be said */
    char folder[4096]; /* the daemon's, or "" */
    bool local;        /* on this machine */
    bool token_refused;
};

bool remote_option(remote_options *o, int option, const char *value)
{
    switch (option) {
    case REMOTE_SERVER:
        o->server = value;
        return true;
    case REMOTE_TOKEN_FILE:
        o->token_file = value;
        return true;
    case REMOTE_DATA_DIR:
        o->data_dir = value;
        return true;
    case REMOTE_CA:
        o->ca_file = value;
        return true;
    default:
        return false;
    }
}

loop *remote_loop(remote *r)
{
    return r->loop;
}

const char *remote_where(const remote *r)
{
    return r->base;
}

bool remote_token_refused(const remote *r)
{
    return r->token_refused;
}

/* ---- Where ---- */

static const char *variable(const char *name)
{
    const char *text = getenv(name);
    return text && *text ? text : NULL;
}

/* As daemon_folder finds it (daemon/daemon.c), for a daemon of this user. */
static void find_folder(remote *r, const remote_options *o)
{
    const char *given = o->data_dir ? o->data_dir : variable("WEIR_DATA_DIR"), *state = variable("XDG_STATE_HOME"), *home = variable("HOME");
    if (given)
        snprintf(r->folder, sizeof r->folder, "%s", given);
    else if (state && *state == '/')
        snprintf(r->folder, sizeof r->folder, "%s/weir/serve", state);
    else if (home)
        snprintf(r->folder, sizeof r->folder, "%s/.local/state/weir/serve", home);
}

/* A file of the daemon's folder as one line, or NULL with errno. free(). */
static char *read_line(const char *path)
{
    char *line = NULL;
    size_t room = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    ssize_t n = getline(&line, &room, f);
    fclose(f);
    while (n > 0 && strchr(" \t\r\n", line[n - 1]))
        line[--n] = '\0';
    if (n > 0)
        return line;
    if (line)
        explicit_bzero(line, room);
    free(line);
    errno = ENODATA;
    return NULL;
}

/* The address as it was given, and who gave it. */
static char *find_address(remote *r, const remote_options *o)
{
    char path[sizeof r->folder + 32];
    const char *given = o->server ? o->server : o->data_dir ? NULL
                                                            : variable("WEIR_SERVER");
    char *written = NULL;
    if (given) {
        r->found_by = strdup(o->server ? "--server" : "WEIR_SERVER in the environment");
        return strdup(given);
    }
    snprintf(path, sizeof path, "%s/" ADDRESS_FILE, r->folder);
    if (*r->folder && (written = read_line(path))) {
        r->found_by = strdup(path);
        return written;
    }
    return strdup(DEFAULT_SERVER);
}

static bool is_local(bytes host)
{
    return bytes_is(host, "localhost") || bytes_is(host, "[::1]") || bytes_starts(host, BYTES("127."));
}

/* Only the origin is kept: no path, no slash. `*token` is what stands behind "#token=". */
static weir_code take_address(remote *r, char *given, const char **token, weir_error *err)
{
    char *mark = strchr(given, '#'), *rest = strstr(given, "://");
    if (mark)
        *mark++ = '\0';
    *token = mark && !strncmp(mark, "token=", 6) ? mark + 6 : NULL;
    if (rest && strncasecmp(given, "http://", 7) && strncasecmp(given, "https://", 8))
        return error_set(err, WEIR_INVALID, "'%s' is no address of a weir serve; http://HOST:PORT and https://HOST:PORT are", given);
    bytes host = bytes_of(rest ? rest + 3 : given);
    while (host.len && host.at[host.len - 1] == '/')
        host.len--;
    if (!host.len || memchr(host.at, '/', host.len) || memchr(host.at, '@', host.len) || memchr(host.at, ' ', host.len))
        return error_set(err, WEIR_INVALID, "'%s' is no address of a weir serve; write it as %s", given, DEFAULT_SERVER);
    bool secure = rest && !strncasecmp(given, "https", 5);
    size_t name = *host.at == '[' ? strcspn(host.at, "]") + 1 : strcspn(host.at, ":/");
    bytes only = bytes_make(host.at, name < host.len ? name : host.len);
    bytes bare = *host.at == '[' && only.len > 2 ? bytes_make(only.at + 1, only.len - 2) : only;
    r->local = is_local(only);
    if (asprintf(&r->base, "%s://%.*s", secure ? "https" : "http", (int)host.len, host.at) < 0)
        return error_set(err, WEIR_NOMEM, "out of memory");
    buf pattern;
    buf_init(&pattern, 1 << 16);
    weir_code code = WEIR_OK;
    for (int i = 0; !code && i < 2; i++) {
        buf_clear(&pattern);
        buf_add_fmt(&pattern, "%s%s://%.*s/*", i ? "ws" : "http", secure ? "s" : "", (int)host.len, host.at);
        code = targets_add(r->targets, buf_bytes(&pattern), err);
    }
    buf_fini(&pattern);
    if (code) /* the text speaks of patterns, which nobody typed */
        return error_set(err, WEIR_INVALID, "'%s' is no address of a weir serve; write it as %s", given, DEFAULT_SERVER);
    if (targets_allow_private(r->targets, only) || targets_allow_private(r->targets, bare))
        return error_set(err, WEIR_NOMEM, "out of memory");
    return WEIR_OK;
}

/* ---- By which token ---- */

static weir_code take_token(remote *r, const char *text, const char *from, weir_error *err)
{
    size_t len = strlen(text);
    for (const char *c = text; *c; c++)
        if (*c <= ' ' || *c > '~' || len > TOKEN_MAX)
            return error_set(err, WEIR_INVALID, "%s: that is no token; one begins with weir_", from);
    if (!len)
        return error_set(err, WEIR_INVALID, "%s: it holds no token", from);
    if (asprintf(&r->authorization, "Bearer %s", text) < 0 || !(r->token_from = strdup(from)))
        return error_set(err, WEIR_NOMEM, "out of memory");
    return WEIR_OK;
}

static weir_code take_token_file(remote *r, const char *path, weir_error *err)
{
    char *text = read_line(path);
    if (!text)
        return error_set(err, WEIR_SYSTEM, "the token's file '%s': %s", path, errno == ENODATA ? "it is empty" : strerror(errno));
    weir_code code = take_token(r, text, path, err);
    explicit_bzero(text, strlen(text));
    free(text);
    return code;
}

static weir_code find_token(remote *r, const remote_options *o, const char *in_address, weir_error *err)
{
    char path[sizeof r->folder + 32];
    if (o->token_file)
        return take_token_file(r, o->token_file, err);
    if (variable("WEIR_TOKEN"))
        return take_token(r, variable("WEIR_TOKEN"), "WEIR_TOKEN", err);
    if (in_address)
        return take_token(r, in_address, "the address", err);
    if (!*r->folder || (!r->local && !o->data_dir)) /* another machine's daemon has no business with it */
        return WEIR_OK;
    snprintf(path, sizeof path, "%s/" ADMIN_FILE, r->folder);
    if (access(path, R_OK) == 0)
        return take_token_file(r, path, err);
    if (asprintf(&r->token_note, "'%s': %s", path, strerror(errno)) < 0)
        r->token_note = NULL;
    return WEIR_OK;
}

/* ---- Opening ---- */

static weir_code open_it(remote *r, const remote_options *o, weir_error *err)
{
    const char *in_address = NULL;
    find_folder(r, o);
    char *given = find_address(r, o);
    r->targets = targets_new();
    weir_code code = given && r->targets ? take_address(r, given, &in_address, err) : error_set(err, WEIR_NOMEM, "out of memory");
    if (code && r->found_by)
        error_wrap(err, "%s", r->found_by);
    if (!code)
        code = find_token(r, o, in_address, err);
    if (given)
        explicit_bzero(given, strlen(given) + (in_address ? strlen(in_address) : 0));
    free(given);
    dialer_options dial = {.ca_file = o->ca_file, .no_proxy = r->local, .connect_ms = 5000};
    if (!code && !(code = loop_new(&r->loop, err)))
        code = dialer_new(&r->dialer, r->loop, &dial, err);
    return code;
}

remote *remote_open(const remote_options *o, int *code)
{
    weir_error err = WEIR_ERROR_INIT;
    remote *r = calloc(1, sizeof *r);
    if (!r) {
        *code = cli_fail(EXIT_FAILED, "out of memory");
        return NULL;
    }
    if (open_it(r, o, &err)) {
        *code = cli_fail(err.code == WEIR_INVALID ? EXIT_USAGE : EXIT_FAILED, "%s", err.text);
        remote_close(r);
        return NULL;
    }
    if (!r->local && r->authorization && !strncmp(r->base, "http:", 5))
        fprintf(stderr, "weir: the token goes to %s unencrypted; https:// would not\n", r->base);
    return r;
}

void remote_close(remote *r)
{
    if (!r)
        return;
    if (r->dialer)
        dialer_free(r->dialer);
    if (r->loop)
        loop_free(r->loop);
    targets_free(r->targets);
    if (r->authorization)
        explicit_bzero(r->authorization, strlen(r->authorization));
    free(r->authorization);
    free(r->token_from);
    free(r->token_note);
    free(r->found_by);
    free(r->base);
    free(r);
}

/* ---- Asking ---- */

/* With a token nothing else counts; without one a daemon that lets anybody in still wants to know that no web page asks. */
static size_t put_headers(const remote *r, http_header headers[4], const char *type)
{
    size_t n = 0;
    if (r->authorization) {
        headers[n++] = (http_header){BYTES("Authorization"), bytes_of(r->authorization)};
    } else {
        headers[n++] = (http_header){BYTES("X-Weir"), BYTES("1")};
        headers[n++] = (http_header){BYTES("Origin"), bytes_of(r->base)};
    }
    if (type)
        headers[n++] = (http_header){BYTES("Content-Type"), bytes_of(type)};
    return n;
}

static weir_code start(remote *r, http_call **out, const char *method, const char *path, const char *type, bytes body,
                       void (*on_done)(void *arg, const http_response *response), void *arg, weir_error *err)
{
    http_header headers[4];
    buf url;
    buf_init(&url, 1 << 20);
    buf_add_text(&url, r->base);
    buf_add_text(&url, path);
    http_request q = {
        .method = bytes_of(method),
        .url = buf_bytes(&url),
        .headers = headers,
        .header_count = put_headers(r, headers, body.len ? type : NULL),
        .body = body,
        .targets = r->targets,
        .timeout_ms = TIMEOUT_MS,
        .max_body = BODY_MAX,
    };
    weir_code code = http_start(out, r->dialer, &q, on_done, arg, err);
    buf_fini(&url);
    return code;
}

weir_code remote_start(remote *r, http_call **out, const char *method, const char *path, void (*on_done)(void *arg, const http_response *response), void *arg, weir_error *err)
{
    return start(r, out, method, path, NULL, (bytes){0}, on_done, arg, err);
}

weir_code remote_ws(remote *r, ws_client **out, const char *path, const ws_client_events *events, void *arg, weir_error *err)
{
    http_header headers[4];
    buf url;
    buf_init(&url, 1 << 20);
    buf_add_fmt(&url, "ws%s%s", r->base + 4, path);
    ws_client_options o = {
        .url = buf_bytes(&url),
        .headers = headers,
        .header_count = put_headers(r, headers, NULL),
        .targets = r->targets,
        .connect_ms = 5000,
    };
    weir_code code = ws_open(out, r->dialer, &o, events, arg, err);
    buf_fini(&url);
    return code;
}

void remote_put_piece(buf *path, const char *piece)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const unsigned char *c = (const unsigned char *)piece; *c; c++) {
        if ((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || strchr("-._~", *c)) {
            buf_add_char(path, (char)*c);
        } else {
            buf_add_char(path, '%');
            buf_add_char(path, hex[*c >> 4]);
            buf_add_char(path, hex[*c & 15]);
        }
    }
}

/* ---- What a refusal means ---- */

static weir_code nobody_there(const remote *r, const weir_error *why, weir_error *err)
{
    if (strstr(why->text, "certificate"))
        return error_set(err, WEIR_NETWORK, "%s: %s%s", r->base, why->text, cli_cure(why->text));
    const char *text = strstr(why->text, "failed to connect") ? "nobody listens there" : why->text;
    if (!r->found_by)
        return error_set(err, WEIR_NETWORK, "no weir serve is running here (%s): %s; start one with 'weir serve' or 'weir serve --demo', or name one with --server URL", r->base, text);
    return error_set(err, WEIR_NETWORK, "no weir serve answers at %s (from %s): %s%s", r->base, r->found_by, text,
                     strstr(r->found_by, ADDRESS_FILE) ? "; it was killed, perhaps: start it again with 'weir serve'" : "");
}

static weir_code no_token(const remote *r, weir_error *err)
{
    if (r->token_from)
        return error_set(err, WEIR_REFUSED, "%s does not know the token of '%s': it is another daemon's, was taken back, or has expired; give one with --token-file FILE or in WEIR_TOKEN", r->base, r->token_from);
    return error_set(err, WEIR_REFUSED, "%s needs a token: --token-file FILE, or WEIR_TOKEN in the environment; the first one is in the daemon's folder, admin.token%s%s%s; 'weir serve --admin-token' makes another",
                     r->base, r->token_note ? " (" : "", r->token_note ? r->token_note : "", r->token_note ? ")" : "");
}

/* The daemon's own words, of {"error":{"code","text","needs"}}; `scope`: the token's does not reach. False: they are none of these. */
static bool own_words(bytes body, buf *text, weir_code *code, bool *scope)
{
    json doc;
    if (json_read(&doc, body, NULL))
        return false;
    json error = json_member(doc, "error"), name = json_member(error, "code");
    if (!json_string_add(json_member(error, "text"), text))
        return false;
    *scope = json_member(error, "needs").type == JSON_STRING;
    for (int i = WEIR_OK + 1; i <= WEIR_BUSY; i++)
        if (json_is(name, weir_code_name((weir_code)i)))
            *code = (weir_code)i;
    return !text->failed;
}

static void replace(buf *text, const char *words, const char *by)
{
    char *at = text->len ? memmem(text->at, text->len, words, strlen(words)) : NULL;
    if (!at)
        return;
    size_t before = (size_t)(at - text->at);
    buf all;
    buf_init(&all, text->max);
    buf_add(&all, text->at, before);
    buf_add_text(&all, by);
    buf_add(&all, at + strlen(words), text->len - before - strlen(words));
    buf_fini(text);
    *text = all;
}

/* "GET /v1/streams lists them" is for programs; here the command does. */
static void say_command(buf *text)
{
    static const char *const nouns[] = {"plugin", "connection", "stream", "sink", "token"};
    char spoken[64], path[64];
    for (size_t i = 0; i < sizeof nouns / sizeof *nouns; i++) {
        snprintf(path, sizeof path, "GET /v1/%ss lists", nouns[i]);
        snprintf(spoken, sizeof spoken, "weir %s list lists", nouns[i]);
        replace(text, path, spoken);
    }
    replace(text, "?force=1", "--force");
}

static weir_code judge(remote *r, uint16_t status, bytes body, weir_error *err)
{
    buf text;
    weir_code code = WEIR_FAILED;
    bool scope = false;
    r->token_refused = status == 401;
    if (status >= 200 && status < 300)
        return WEIR_OK;
    if (status == 401)
        return no_token(r, err);
    buf_init(&text, 1 << 16);
    bool said = own_words(body, &text, &code, &scope);
    r->token_refused = scope;
    say_command(&text);
    buf_add_char(&text, '\0');
    if (!said)
        code = error_set(err, WEIR_NETWORK, "%s answers with status %u, and not as a weir serve does; is that one?", r->base, status);
    else if (scope)
        code = error_set(err, WEIR_REFUSED, "%s (the token is that of '%s')", text.at, r->token_from ? r->token_from : "nobody");
    else if (status == 421)
        code = error_set(err, WEIR_REFUSED, "%s; --server has to use a name that it goes by (listen.hosts)", text.at);
    else
        code = error_set(err, code, "%s", text.at);
    buf_fini(&text);
    return code;
}

weir_code remote_judge(remote *r, const http_response *response, weir_error *err)
{
    return response->error.code ? nobody_there(r, &response->error, err) : judge(r, response->status, response->body, err);
}

weir_code remote_judge_ws(const remote *r, const weir_error *why, uint16_t http_status, weir_error *err)
{
    if (http_status == 401)
        return no_token(r, err);
    if (http_status)
        return error_set(err, http_status == 403 || http_status == 421 ? WEIR_REFUSED : WEIR_NETWORK, "%s: %s", r->base, why->text);
    return nobody_there(r, why, err);
}

int remote_exit(weir_code code)
{
    switch (code) {
    case WEIR_INVALID:
        return EXIT_USAGE;
    case WEIR_TIMEOUT:
        return EXIT_FAILED;
    default:
        return cli_exit_code(code);
    }
}

/* ---- One question ---- */

typedef struct waiting {
    remote *remote;
    remote_answer *answer;
    weir_error why;
    bool over;
} waiting;

static void on_answer(void *arg, const http_response *response)
{
    waiting *w = arg;
    w->over = true;
    w->answer->status = response->status;
    if (!remote_judge(w->remote, response, &w->why)) {
        buf_add_bytes(&w->answer->body, response->body);
        if (w->answer->body.failed)
            error_set(&w->why, WEIR_NOMEM, "out of memory");
    }
}

static weir_code exchange(remote *r, remote_answer *a, const char *method, const char *path, const char *type, bytes body, weir_error *err)
{
    waiting w = {.remote = r, .answer = a};
    http_call *call;
    *a = (remote_answer){0};
    buf_init(&a->body, BODY_MAX);
    if (start(r, &call, method, path, type, body, on_answer, &w, err))
        return err->code;
    while (!w.over)
        loop_step(r->loop, -1);
    *err = w.why;
    return err->code;
}

/* What another version does not know may be why. */
static void add_version(remote *r, weir_error *err)
{
    remote_answer a;
    weir_error why = WEIR_ERROR_INIT, first = *err;
    json doc, version;
    bytes theirs;
    if (!exchange(r, &a, "GET", "/v1/node", NULL, (bytes){0}, &why) && !json_read(&doc, buf_bytes(&a.body), NULL)) {
        version = json_member(doc, "version");
        if (json_string_slice(version, &theirs) && !bytes_is(theirs, weir_version()))
            error_set(err, first.code, "%s (it is weir " BYTES_FMT ", this is weir %s)", first.text, BYTES_ARG(theirs), weir_version());
    }
    remote_answer_free(&a);
}

static int ask(remote *r, remote_answer *a, const char *method, const char *path, const char *type, bytes body, bool is_json)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_code code = exchange(r, a, method, path, type, body, &err);
    if (!code && is_json && a->body.len && json_read(&a->doc, buf_bytes(&a->body), NULL))
        code = error_set(&err, WEIR_NETWORK, "%s answers, but not as a weir serve does; is that one?", r->base);
    if (!code)
        return EXIT_FINE;
    if (a->status == 400 || a->status == 404 || a->status == 405)
        add_version(r, &err);
    return cli_fail(remote_exit(code), "%s", err.text);
}

int remote_ask(remote *r, remote_answer *a, const char *method, const char *path, bytes body)
{
    return ask(r, a, method, path, "application/json", body, true);
}

int remote_upload(remote *r, remote_answer *a, const char *path, bytes module)
{
    return ask(r, a, "POST", path, "application/wasm", module, true);
}

int remote_fetch(remote *r, remote_answer *a, const char *path)
{
    return ask(r, a, "GET", path, NULL, (bytes){0}, false);
}

void remote_answer_free(remote_answer *a)
{
    if (a->body.at)
        explicit_bzero(a->body.at, a->body.len); /* a token may be in it */
    buf_fini(&a->body);
}
