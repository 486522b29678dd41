/* noun.h: the commands `weir NOUN VERB ...` about the things of a running daemon: options, the verb, the daemon, its answer.
 *
 * A noun is a file cmd_NOUN.c: a table of verbs, a help text. An option belongs to the verbs that name it. */
#ifndef CLI_NOUN_H
#define CLI_NOUN_H

#include "cli/columns.h"
#include "cli/remote.h"

typedef enum noun_option { ON_NAME,
                           ON_CONFIG,
                           ON_CONFIG_FILE,
                           ON_UNSET,
                           ON_YES,
                           ON_ALLOW,
                           ON_SHA256,
                           ON_FORCE,
                           ON_CONNECTION,
                           ON_PLUGIN,
                           ON_FROM,
                           ON_TO,
                           ON_LIMIT,
                           ON_FORMAT,
                           ON_KINDS,
                           ON_PATTERN,
                           ON_POLICY,
                           ON_SCOPE,
                           ON_EXPIRES,
                           ON_OPTIONS } noun_option;
#define WITH(option) (1u << ON_##option)

typedef struct asked {
    const char *noun, *verb;
    remote *remote;
    char **args; /* behind the verb */
    int count;
    bool json;
    cli_list given[ON_OPTIONS];
} asked;

typedef struct verb {
    const char *name, *wants; /* what its arguments are, for who forgot them */
    int least, most;          /* arguments */
    unsigned options;         /* WITH(...) | ... */
    int (*run)(asked *a);     /* an exit code */
} verb;

int noun_run(const char *noun, const verb *verbs, const char *help, int argc, char **argv);
/* `unsaid` is the verb of a command line that begins with none: its first word is an argument then. */
int noun_run_unsaid(const char *noun, const verb *verbs, const char *unsaid, const char *help, int argc, char **argv);

/* The last one given, or NULL. */
const char *asked_option(const asked *a, noun_option option);

/* ---- What verbs have in common ---- */

/* "/v1/streams/7" + "/restart"; free(). NULL: out of memory, said. */
char *asked_path(const char *before, const char *id, const char *behind);

/* Asks, and prints: with --json the answer as it is, else by `print`. */
int asked_print(asked *a, const char *method, const char *path, bytes body, void (*print)(asked *a, json doc));
/* A list that the answer holds as `member`; `none` is said on stderr where it is empty. */
int asked_list(asked *a, const char *path, const char *member, const column *columns, const char *none);

/* On a terminal: yes or no. Elsewhere, or with --yes: yes, if --yes was given; no otherwise, said. */
bool asked_sure(const asked *a, const char *question);

/* Which connection (or stream) is meant by a number, a name, a topic or TOPIC@CONNECTION: its number as text. False: it has said why. */
bool asked_connection(asked *a, const char *given, char id[24], int *code);
bool asked_stream(asked *a, const char *given, char id[24], int *code);

#endif
