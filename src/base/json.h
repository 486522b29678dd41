/* JSON: read in place without allocation, write into a buf.
 *
 * Reading validates the whole document once (RFC 8259, UTF-8, nesting to JSON_DEPTH) and gives
 * values as slices of the text: nothing is copied, numbers stay the decimal text they were, and
 * an object can be passed on byte for byte.
 *
 *     json doc, url;
 *     json_field want[] = {{"url", &url}};
 *     if (json_read(&doc, text, err) || json_fields(doc, want, 1, err)) ...
 *
 * The frequent operation is json_read_fields: one pass over a request that validates it and
 * picks out the members by name. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

#define JSON_DEPTH 128

typedef enum json_type {
    JSON_NONE, /* no such member; every getter answers false for it */
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
} json_type;

typedef struct json {
    json_type type;
    bytes raw; /* the value's text without the blanks around it; a string with its quotes */
} json;

typedef struct json_field {
    const char *name;
    json *value; /* set to JSON_NONE when the object has no such member; the last of doubles wins */
} json_field;

/* Validates one whole document. WEIR_INVALID: the text says at which octet (from 1) and why, and *out is
 * JSON_NONE. */
weir_code json_read(json *out, bytes text, weir_error *err);

/* Validates a whole document that must be an object and picks its members in the same pass. Where it
 * fails every field is JSON_NONE. */
weir_code json_read_fields(bytes text, const json_field *fields, size_t count, weir_error *err);

/* The same; of an array that is one of the fields `known` may read the form: it answers where the value ends, having seen
 * that it is valid JSON to there, or NULL, then it is read like any other. */
typedef const char *(*json_known)(void *arg, size_t field, const char *at, const char *end);
weir_code json_read_fields_with(bytes text, const json_field *fields, size_t count, json_known known, void *arg, weir_error *err);

/* The same for what follows a member's comma in such an object, up to its end: for a caller who has
 * recognised the octets before. */
weir_code json_read_rest(bytes text, const json_field *fields, size_t count, weir_error *err);

/* The same for an object at the very beginning of a text that goes on: where it ends. `around`: levels that are open around
 * it. NULL: it is none; why, says who reads the whole. */
const char *json_read_part(bytes text, unsigned around, const json_field *fields, size_t count);

/* Picks the members of an object that was read before. WEIR_INVALID if it is no object. */
weir_code json_fields(json object, const json_field *fields, size_t count, weir_error *err);

/* One member; JSON_NONE if there is none or `object` is no object. */
json json_member(json object, const char *name);

/* Walks an array (key stays JSON_NONE) or an object:
 *     json_iter it = json_each(value);
 *     while (json_next(&it, &key, &item)) ... */
typedef struct json_iter {
    const char *at, *end;
    bool object;
} json_iter;
json_iter json_each(json container);
bool json_next(json_iter *it, json *key, json *value);

/* Values. Each answers false, leaving *out alone, when the type or the range is wrong. */
bool json_bool(json value, bool *out);
bool json_i64(json value, int64_t *out); /* whole numbers only, "5", "5.0" and "5e0" too; false also for a JSON_NUMBER whose text is none */
bool json_u64(json value, uint64_t *out);
bool json_text_u64(json value, uint64_t *out); /* a string that is such a number, as times in nanoseconds are */
bool json_f64(json value, double *out);

/* A string's characters. json_string_slice answers the octets between the quotes when there is no
 * escape among them (false otherwise); json_string_add appends the decoded text to `out`. A lone
 * surrogate becomes U+FFFD. */
bool json_string_slice(json value, bytes *out);
bool json_string_add(json value, buf *out);
bool json_is(json value, const char *text); /* a string that decodes to exactly this text */
char *json_string_dup(json value);          /* heap copy, NUL-terminated; NULL if no string, if it
                                               holds U+0000, or out of memory */

/* Writing. */
void json_put_string(buf *out, bytes text); /* quoted, escaped; octets that are no UTF-8 become U+FFFD */
void json_put_text(buf *out, const char *text);
void json_put_f64(buf *out, double value);     /* shortest text that reads back the same; null if not finite */
void json_put_key(buf *out, const char *name); /* "name": with a comma first unless at the object's start */
void json_put_member(buf *out, const char *name, bytes string_value);
void json_put_compact(buf *out, json value); /* the value without blanks between tokens, members in order */

#endif
