/* table.h: the rows of the terminal table and the screen they make. Knows no terminal: sink_table.c
 * brings the lines there.
 *
 * A row is a stream; rows stand in sections by type, in the order in which streams appeared. Taking a
 * record is frequent and keeps only a reference to the newest one; its data is read when a screen is made,
 * some ten times a second. Only where a record may tell just a part (table_section.partial: tickers, best
 * prices, order books) each one is read. */
#ifndef SINK_TABLE_H
#define SINK_TABLE_H

#include "base/json.h"
#include "base/map.h"
#include "book/book.h"
#include "sink/sink.h"

#define TABLE_CELL 48 /* octets of a cell's text, NUL included */
#define TABLE_CELLS 7 /* of one row, besides symbol, timeframe, count and age */
#define TABLE_LEVELS 1000 /* of a book's side; the worst beyond are forgotten */

typedef struct table_row {
    record_stream *stream;
    record *last;      /* the newest data record, or NULL */
    uint64_t read_seq; /* of the one that the cells show */
    record *status;    /* the newest status record, or NULL */
    uint64_t count;    /* data records */
    uint8_t section;
    int8_t direction; /* of the price's last change: -1, 0, 1 */
    book book;        /* of an order book's row */
    char symbol[TABLE_CELL], timeframe[TABLE_CELL];
    char cells[TABLE_CELLS][TABLE_CELL];
} table_row;

typedef struct table {
    table_row **rows;
    size_t count, cap;
    map *by_stream;
    uint64_t data, gaps, missed; /* data records taken; gap records; what slow_reader gaps counted */
    bool colour;
} table;

weir_code table_init(table *t, weir_error *err);
void table_fini(table *t); /* of a zeroed one, too */

/* False when out of memory for a new row: the record is counted and not shown. */
bool table_take(table *t, record *r);

/* Appends at most `lines` lines of at most `columns` columns, each with a newline. `figures` as of now;
 * `real_ns` and `mono_ns` are the clocks. */
void table_render(table *t, buf *out, const sink_figures *figures, unsigned columns, unsigned lines,
                  uint64_t real_ns, uint64_t mono_ns);

#define TABLE_RED "\x1b[31m"
#define TABLE_GREEN "\x1b[32m"
#define TABLE_PLAIN "\x1b[0m"

/* ---- table_ladder.c, for table.c ---- */

/* Appends at most `lines` lines with the best levels of as many books as fit into the width. Returns how many lines. */
size_t table_put_ladders(const table *t, buf *out, size_t columns, size_t lines);

/* ---- table_row.c, for table.c: what a type of stream shows ---- */

typedef enum table_align { ALIGN_LEFT,
                           ALIGN_RIGHT,
                           ALIGN_DECIMAL } table_align;

typedef struct table_column {
    const char *title;
    table_align align;
    uint8_t keep; /* what does not fit goes in ascending order of this */
    bool price;   /* one in each section: coloured by the direction of its change */
} table_column;

typedef struct table_section {
    const char *title;
    const char *types[4];                  /* stream types, NULL-ended; none: all others */
    table_column columns[TABLE_CELLS + 1]; /* ended by a NULL title */
    /* Reads one record's data into the cells; what it does not have leaves its cell as it was. */
    void (*read)(table_row *row, json data, uint64_t real_ns);
    bool partial; /* a record may tell only what changed, so none may be passed over */
} table_section;

#define TABLE_SECTIONS 6
extern const table_section table_sections[TABLE_SECTIONS];
uint8_t table_section_of(bytes type);
/* Copies text into a cell, escaped, cut at a whole character. */
void table_set_cell(char cell[TABLE_CELL], bytes text);
/* Brings the cells up to the newest record. */
void table_row_read(table_row *row, uint64_t real_ns);

#endif
