/* query.h: paths and queries of requests taken apart: foreign octets become texts, or an error that says why not. */
#ifndef API_QUERY_H
#define API_QUERY_H

#include "base/buf.h"

#define QUERY_TEXT_MAX 8192 /* octets of all texts of one query, decoded */

/* Appends `text` with %XX decoded ('+' is a blank in queries only) and a NUL behind it. WEIR_INVALID: a '%' without two
 * hexadecimal digits, a control character, no UTF-8. `what` names it in the error. */
weir_code query_decode(buf *out, bytes text, bool plus, const char *what, weir_error *err);

/* Does `path` fit the template, such as "/v1/plugins/{id}/traps"? Then the pieces that stand for {..} are lent in order,
 * not decoded, at most two. */
bool query_path(const char *template, bytes path, bytes pieces[2]);

/* The query as a JSON object of texts: {"force":"1"}. `known`: the names that there are, blanks between. WEIR_INVALID: a name
 * that is not among them (the text lists them), one that comes twice, or as above. */
weir_code query_json(buf *out, bytes query, const char *known, weir_error *err);

#endif
