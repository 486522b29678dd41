/* mask.h: texts that are kept or shown without the secrets in them.
 *
 * A secret is a value of the configuration that its name or the plugin's own list of fields calls one,
 * wherever it turns up; and whatever stands beside a name such as "api_key", "signature" or "Authorization"
 * in JSON, in JSON within JSON, in a query or in a header. Better too much than too little. */
#ifndef PLUGIN_MASK_H
#define PLUGIN_MASK_H

#include "base/json.h"

#define MASKED "***"

typedef struct mask mask;

/* `config`: a JSON object of plain values, or empty; `fields`: the plugin's list as in fields.h, or empty. What
 * cannot be read adds no secret. */
weir_code mask_new(mask **out, bytes config, bytes fields, weir_error *err);
void mask_free(mask *m);

/* Does a name of this kind hold a secret? "api_key", "apiKey", "passphrase" ... */
bool mask_is_secret(bytes name);

/* Appends `text` with MASKED in the place of each secret. `m` may be NULL: names alone. */
void mask_text(const mask *m, bytes text, buf *out);

#endif
