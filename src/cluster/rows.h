/* rows.h: what rows.c, found.c and modules.c know of each other. */
#ifndef CLUSTER_ROWS_H
#define CLUSTER_ROWS_H

#include "cluster/inside.h"

#define ROW_KEY 64
#define ROW_NAME 1024
#define NUMBERS 1000 /* claimed at once */

struct row {
    list_node node; /* in one of todo, or the orphans */
    cluster *c;
    char key[ROW_KEY];
    int kind; /* -1: not known */
    char *id;
    uint64_t revision, applied, takes; /* the last one; the one that the node has; the one that it is being given */
    bool deleted, busy;                /* a change of ours is on its way */
    buf json, secret;                  /* as the node has them; the secret open */
};

/* A row of this node's own store, from before. */
typedef struct own_row {
    list_node node;
    int kind;
    char *id;
    buf json, secret;
    cluster *c;
    size_t modules; /* on the way */
    bool met;       /* the cluster has it, too */
} own_row;

row *row_of(cluster *c, const char *key);
row *row_by_id(const cluster *c, const char *kind, const char *id);
void row_queue(row *r);
void row_send(row *r, const char *kind, const char *id, bytes json, bytes secret, talk_done fn, void *arg);
void row_key(char out[ROW_KEY], const char *kind, const char *unique);
bool row_name(cluster *c, row *r, const char *kind, const char *id);
bool module_is_here(const cluster *c, const char *sha256);
void own_free(cluster *c);

#endif
