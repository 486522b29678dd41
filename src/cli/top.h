/* top.h: what `weir top` shows: rows out of a daemon's answers, and the frame they make. Knows no terminal and no daemon:
 * cmd_top.c brings the answers here and the frame there. All text is foreign, and is escaped. */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include "base/json.h"
#include "base/map.h"

#define TOP_CELLS 11
#define TOP_CELL 160 /* a line of the log is the widest */

typedef enum top_view { TOP_STREAMS,
                        TOP_PLUGINS,
                        TOP_SINKS,
                        TOP_READERS,
                        TOP_CONNECTIONS,
                        TOP_LOG,
                        TOP_VIEWS } top_view;

typedef struct top_row {
    char id[64];
    json doc; /* of the answer */
    bool bad; /* its state is one to look at */
    char cells[TOP_CELLS][TOP_CELL];
    double sort[TOP_CELLS]; /* of what is no text */
} top_row;

typedef struct top {
    top_view view;
    top_row *rows;
    size_t count;
    size_t *shown, shown_count; /* those that the filter lets through, in order */
    buf answer, node;           /* octets that rows and node_doc point into */
    json node_doc;
    bool taken;       /* there was an answer of this view */
    map *before;      /* view and id -> what it had counted, for rates */
    uint64_t mono_ns; /* of the answer */
    double node_rate; /* records a second, of all */
    double node_cpu;  /* per cent of a core */
    char filter[64];  /* "": all */
    int sort_by;      /* a column; -1: as the daemon lists them */
    bool reverse;
    size_t selected, first; /* among shown; the one on top of the screen */
    bool help, details;
    size_t scrolled; /* lines of the details that are above the screen */
    const char *where;
    char status[512]; /* "": how the keys go */
    bool typing;      /* the filter, */
    bool commanding;  /* or a command: a view's name, behind ':' */
    char command[32];
    bool colour;
} top;

weir_code top_init(top *t, weir_error *err);
void top_fini(top *t);

const char *top_view_name(top_view v);
const char *top_view_path(top_view v);
/* The view that is called so, or begins so ("conn"); TOP_VIEWS: none. */
top_view top_view_find(const char *name);
/* Takes an answer of top_view_path(t->view), or of /v1/node. False: it makes no sense, or memory is out. */
bool top_take(top *t, bytes answer, uint64_t real_ns, uint64_t mono_ns);
bool top_take_node(top *t, bytes answer, uint64_t mono_ns);

/* After another view, filter or order. Keeps who is selected. */
void top_arrange(top *t);
const top_row *top_selected(const top *t);
void top_next_order(top *t); /* the next column of the view */
bool top_order_by(top *t, const char *title);

/* At most `lines` lines of at most `columns` columns, a newline after each; 0 lines: all rows, without the last line of keys. */
void top_frame(top *t, buf *out, size_t columns, size_t lines);

#endif
