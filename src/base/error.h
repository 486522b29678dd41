/* Errors: a code for the program, one line of text for the person.
 *
 * A function that can fail returns weir_code and takes a weir_error last. The innermost place
 * sets the text (what failed, on what, why, what would work), each level above adds its prefix:
 *
 *     if (file_read(&wasm, path, err))
 *         return error_wrap(err, "plugin '%s'", path);
 *
 * Wording: lower case, the subject in single quotes, no full stop. Text from outside (a guest, a
 * peer, a file) is escaped on its way in, so an error's text is safe on a terminal. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <weir/weir.h>

#if defined(__GNUC__)
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#else
#define PRINTF_LIKE(f, a)
#endif

/* Sets code and text and returns the code. `err` may be NULL. Text past the end of the field is
 * cut at a whole UTF-8 character. Control characters in the result become '?'. */
weir_code error_set(weir_error *err, weir_code code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "prefix: " in front of the text and returns err->code, or WEIR_INVALID for a NULL err. */
weir_code error_wrap(weir_error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* An error put by for later, by what there are thousands of: no larger than its text. Zeroed, there is
 * none. When memory is out the code is kept and the text says that. */
typedef struct kept_error {
    weir_code code;
    char *text;
} kept_error;
void error_keep(kept_error *k, const weir_error *err); /* instead of what was there; NULL: none */
void error_recall(const kept_error *k, weir_error *err);
const char *kept_text(const kept_error *k); /* "" when there is none; k's own */

#endif
