/* An order book of the host, beside reading the same JSON: the order books of a recording in a loop, parsed alone, and
 * parsed, applied and checked against the venue's CRC32. The two in turns, and of each the fastest of
 * many short passes, which a busy machine disturbs little.
 *
 * usage: book_bench [--json] [CAPTURE [LOOPS]] */
#include "bench/bench.h"

#include "book/guard.h"

#define BOOKS 8
#define DECLARATION "{\"guard\":\"crc32\",\"checksum\":{\"levels\":25,\"order\":\"interleaved\",\"separator\":\":\",\"signed\":true}}"

typedef struct message {
    bytes text;
    int book;
    bool snapshot;
} message; /* what a plugin makes of it: the object with bids, asks and checksum */

static message *messages;
static size_t count, octets;
static int books;
static char names[BOOKS][64];

static int book_of(json name)
{
    bytes text;
    if (!json_string_slice(name, &text) || text.len >= sizeof names[0])
        give_up("a book's name is strange");
    for (int i = 0; i < books; i++)
        if (bytes_is(text, names[i]))
            return i;
    if (books == BOOKS)
        give_up("more than %d books", BOOKS);
    memcpy(names[books], text.at, text.len);
    return books++;
}

static void load(const char *file)
{
    FILE *in = fopen(file, "r");
    char *line = NULL;
    size_t cap = 0;
    json doc;
    if (!in)
        give_up("'%s': %s", file, strerror(errno));
    while (getline(&line, &cap, in) > 0) {
        char *text = line[0] >= '0' && line[0] <= '9' ? strstr(line, ": ") : NULL;
        if (!text)
            continue;
        text[strcspn(text, "\r\n")] = '\0';
        if (json_read(&doc, bytes_of(text + 2), NULL) || json_member(doc, "data").type != JSON_ARRAY || !json_is(json_member(json_member(doc, "arg"), "channel"), "books"))
            continue;
        json key, data;
        json_iter it = json_each(json_member(doc, "data"));
        messages = realloc(messages, (count + 1) * sizeof *messages);
        if (!messages || !json_next(&it, &key, &data) || !(messages[count].text.at = bytes_dup(data.raw)))
            give_up("out of memory");
        messages[count].text.len = data.raw.len;
        messages[count].snapshot = json_is(json_member(doc, "action"), "snapshot");
        octets += messages[count].text.len;
        messages[count++].book = book_of(json_member(json_member(doc, "arg"), "instId"));
    }
    free(line);
    fclose(in);
    if (!count)
        give_up("'%s' has no messages of the channel \"books\"", file);
}

static double parse_alone(void)
{
    double begin = cpu_s();
    json doc;
    for (size_t i = 0; i < count; i++)
        if (json_read(&doc, messages[i].text, NULL))
            give_up("message %zu is no JSON", i);
    return cpu_s() - begin;
}

static levels scratch[2];

static void take(book *b, guard *g, const message *m)
{
    guard_marks marks;
    if (guard_read_levels(&marks, scratch, m->text, NULL))
        give_up("a message is no order book");
    if (m->snapshot)
        book_clear(b);
    if (guard_apply(&marks, b, NULL))
        give_up("a level is wrong");
    if (!marks.has_checksum || guard_check(g, b, &marks) != GUARD_GOOD)
        give_up("a checksum is wrong");
}

static book kept[BOOKS];
static guard guards[BOOKS];

static double keep_books(void)
{
    double begin = cpu_s();
    for (size_t i = 0; i < count; i++)
        take(&kept[messages[i].book], &guards[messages[i].book], &messages[i]);
    return cpu_s() - begin;
}

static void declare(void)
{
    weir_error err = WEIR_ERROR_INIT;
    json declaration;
    for (int i = 0; i < books; i++) {
        book_init(&kept[i], 0);
        if (json_read(&declaration, BYTES(DECLARATION), &err) || guard_read(&guards[i], declaration, &err))
            give_up("%s", err.text);
    }
}

int main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    load(argc > 1 + json ? argv[1 + json] : "sim/captures/OKX.ws");
    int loops = argc > 2 + json ? atoi(argv[2 + json]) : 2000;
    double parse = 1e9, keep = 1e9;
    if (loops < 1) {
        fprintf(stderr, "usage: book_bench [--json] [CAPTURE [LOOPS]]\n");
        return 2;
    }
    declare();
    for (int i = 0; i < loops; i++) {
        double p = parse_alone(), k = keep_books();
        parse = p < parse ? p : parse;
        keep = k < keep ? k : keep;
    }
    double n = (double)count;
    if (json)
        printf("{\"bench\":\"book\",\"messages\":%zu,\"octets\":%zu,\"parse_ns\":%.1f,\"book_ns\":%.1f,\"ratio\":%.3f}\n", count, octets, parse / n * 1e9, keep / n * 1e9, keep / parse);
    else
        printf("%zu messages, %zu octets: parsed %.0f ns each, as books with CRC32 %.0f ns (%.0f a second), %.2f times\n", count, octets, parse / n * 1e9, keep / n * 1e9, n / keep, keep / parse);
    return 0;
}
