/* The order books level by level, in the lines that the table leaves free: see table.h.
 *
 * Books stand side by side, in the order of their rows, as many as are wide enough the screen; each line of a book is one
 * level, sizes outside and prices inside, aligned on the decimal point. Levels hold decimals and nothing else, so
 * that they need no escaping. */
#include "sink/table.h"
#include "sink/text.h"

#define LEVELS 10
#define BOOKS 8
#define GAP 2   /* columns between the four of a book */
#define APART 4 /* between two books */
#define COLUMNS 4

enum { BID_SIZE,
       BID,
       ASK,
       ASK_SIZE };

typedef struct ladder {
    const table_row *row;
    size_t levels, width;
    bytes text[LEVELS][COLUMNS];
    size_t before[COLUMNS], behind[COLUMNS]; /* the widest of each column, of its point */
} ladder;

static void take_side(ladder *l, book_side side, size_t levels)
{
    book_cursor at = {0};
    const book_level *level;
    for (size_t i = 0; i < levels && (level = book_next(&l->row->book, side, &at)); i++) {
        l->text[i][side == BOOK_BIDS ? BID : ASK] = book_price(level);
        l->text[i][side == BOOK_BIDS ? BID_SIZE : ASK_SIZE] = book_size(level);
        if (i == l->levels)
            l->levels++;
    }
}

static void read_book(ladder *l, const table_row *row, size_t levels)
{
    size_t before, behind, title = text_width(bytes_of(row->symbol));
    *l = (ladder){.row = row};
    take_side(l, BOOK_BIDS, levels);
    take_side(l, BOOK_ASKS, levels);
    for (int c = 0; c < COLUMNS; c++) {
        for (size_t i = 0; i < l->levels; i++) {
            text_decimal(l->text[i][c], &before, &behind);
            l->before[c] = before > l->before[c] ? before : l->before[c];
            l->behind[c] = behind > l->behind[c] ? behind : l->behind[c];
        }
        l->width += l->before[c] + l->behind[c] + (c ? GAP : 0);
    }
    if (title > l->width)
        l->width = title;
}

/* A number with its point in its place. */
static void put_cell(buf *out, const ladder *l, size_t level, int c, const char *colour)
{
    bytes text = l->text[level][c];
    size_t before, behind, width = l->before[c] + l->behind[c];
    text_decimal(text, &before, &behind);
    text_pad(out, l->before[c] - before);
    if (colour && text.len)
        buf_add_text(out, colour);
    text_put(out, text, width);
    if (colour && text.len)
        buf_add_text(out, TABLE_PLAIN);
    text_pad(out, width - (l->before[c] - before) - before - behind);
}

static void put_level(buf *out, const ladder *l, size_t level, bool colour)
{
    static const char *const colours[COLUMNS] = {NULL, TABLE_GREEN, TABLE_RED, NULL};
    size_t taken = 0;
    for (int c = 0; c < COLUMNS; c++) {
        text_pad(out, c ? GAP : 0);
        if (level < l->levels)
            put_cell(out, l, level, c, colour ? colours[c] : NULL);
        else
            text_pad(out, l->before[c] + l->behind[c]);
        taken += l->before[c] + l->behind[c] + (c ? GAP : 0);
    }
    text_pad(out, l->width - taken);
}

static void end_line(buf *out)
{
    while (out->len && out->at[out->len - 1] == ' ')
        out->len--;
    buf_add_char(out, '\n');
}

size_t table_put_ladders(const table *t, buf *out, size_t columns, size_t lines)
{
    ladder all[BOOKS];
    size_t count = 0, room = columns, levels = 0;
    for (size_t i = 0; i < t->count && count < BOOKS && lines > 2; i++) {
        const table_row *row = t->rows[i];
        if (!book_count(&row->book, BOOK_BIDS) && !book_count(&row->book, BOOK_ASKS))
            continue;
        read_book(&all[count], row, lines - 2 < LEVELS ? lines - 2 : LEVELS);
        size_t width = all[count].width + (count ? APART : 0);
        if (width > room)
            break;
        room -= width;
        levels = all[count].levels > levels ? all[count].levels : levels;
        count++;
    }
    if (!count)
        return 0;
    end_line(out);
    for (size_t i = 0; i < count; i++) {
        bytes symbol = bytes_of(all[i].row->symbol);
        text_pad(out, i ? APART : 0);
        text_pad(out, all[i].width - text_put(out, symbol, all[i].width));
    }
    end_line(out);
    for (size_t level = 0; level < levels; level++) {
        for (size_t i = 0; i < count; i++) {
            text_pad(out, i ? APART : 0);
            put_level(out, &all[i], level, t->colour);
        }
        end_line(out);
    }
    return levels + 2;
}
