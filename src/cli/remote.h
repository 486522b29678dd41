/* remote.h: a running `weir serve`, from the side of who types a command: where it is, by which token, and what it answers.
 *
 *     remote *r = remote_open(&options, &code);
 *     if (!r)
 *         return code;                                          it has said why
 *     code = remote_ask(r, &answer, "GET", "/v1/streams", (bytes){0});
 *     ... answer.doc ...
 *     remote_answer_free(&answer);
 *     remote_close(r);
 *
 * Where: --server, else $WEIR_SERVER, else what the daemon wrote into its folder, else http://127.0.0.1:8080. By which token:
 * --token-file, else $WEIR_TOKEN, else the one in the address ("#token=..." as the daemon prints it), else the admin's of the
 * daemon's folder, which is sent to this machine only. An error says what to type next. */
#ifndef CLI_REMOTE_H
#define CLI_REMOTE_H

#include "base/json.h"
#include "cli/cli.h"
#include "loop/loop.h"
#include "net/http_client.h"
#include "net/ws_client.h"

typedef struct remote remote;

typedef struct remote_options {
    const char *server, *token_file, *data_dir, *ca_file; /* NULL: not said */
} remote_options;

/* getopt_long's, for each command that talks to a daemon. */
#define REMOTE_SERVER 1100
#define REMOTE_TOKEN_FILE 1101
#define REMOTE_DATA_DIR 1102
#define REMOTE_CA 1103
#define REMOTE_OPTIONS                                                                                        \
    {"server", required_argument, 0, REMOTE_SERVER}, {"token-file", required_argument, 0, REMOTE_TOKEN_FILE}, \
        {"data-dir", required_argument, 0, REMOTE_DATA_DIR}, {"ca", required_argument, 0, REMOTE_CA},         \
    {                                                                                                         \
        "help", no_argument, 0, 'h'                                                                           \
    }
#define REMOTE_HELP                                                                                                     \
    "  --server URL           where it is: http://127.0.0.1:8080; else $WEIR_SERVER, else what the daemon wrote down\n" \
    "  --token-file FILE      the token to show; else $WEIR_TOKEN, else the admin's in the daemon's folder\n"           \
    "  --data-dir DIR         the daemon's folder, if it is not the usual one: its address and its admin's token\n"     \
    "  --ca FILE              authorities to trust (PEM) instead of the system's\n"                                     \
    "  -h, --help             this\n"
bool remote_option(remote_options *o, int option, const char *value);

/* NULL after an error that it has reported; *code is the exit code. Nothing is asked yet. */
remote *remote_open(const remote_options *o, int *code);
void remote_close(remote *r); /* NULL is fine */
loop *remote_loop(remote *r);
const char *remote_where(const remote *r);  /* "http://127.0.0.1:8080" */
bool remote_token_refused(const remote *r); /* was the last question, for the token: none, a wrong one, one whose scope does not reach */

/* ---- One question, and wait ---- */

typedef struct remote_answer {
    uint16_t status;
    buf body;
    json doc; /* of the body; JSON_NONE where it is none */
} remote_answer;
void remote_answer_free(remote_answer *a);

/* An exit code; what went wrong has been reported. The answer is to be freed in any case. A body is JSON, or, for
 * remote_upload, a module. */
int remote_ask(remote *r, remote_answer *a, const char *method, const char *path, bytes body);
int remote_upload(remote *r, remote_answer *a, const char *path, bytes module);
/* The same, and the answer's octets as they come, whatever they are. */
int remote_fetch(remote *r, remote_answer *a, const char *path);

/* ---- Many at once ---- */

/* http_start with the token and the address; on_done as there. */
weir_code remote_start(remote *r, http_call **out, const char *method, const char *path, void (*on_done)(void *arg, const http_response *response), void *arg, weir_error *err);
/* What is wrong with a response, in `err`, with what would help; WEIR_OK: nothing. The exit code for it is remote_exit. */
weir_code remote_judge(remote *r, const http_response *response, weir_error *err);
int remote_exit(weir_code code);

weir_code remote_ws(remote *r, ws_client **out, const char *path, const ws_client_events *events, void *arg, weir_error *err);
/* Why a socket was not opened, as remote_judge says it. */
weir_code remote_judge_ws(const remote *r, const weir_error *why, uint16_t http_status, weir_error *err);

/* Appends a piece of a path or a query, percent-encoded. */
void remote_put_piece(buf *path, const char *piece);

#endif
