/* fields.h: the configuration's form, as the plugin declares it (get_configuration_fields), and a user's
 * values checked against it. */
#ifndef PLUGIN_FIELDS_H
#define PLUGIN_FIELDS_H

#include "base/json.h"

/* Writes the configuration that the plugin gets: each declared field in its type (number, boolean, else
 * text), its default where the user gave none, and the user's other values as they are. A field api_key may also
 * be given as apiKey. `fields` is the plugin's list; null is an empty one. `config`: an object, or JSON_NONE.
 * WEIR_INVALID: a value is not of its type, outside min and max, or none of the choices; the text names the field
 * and what would be right. Never a value: it may be secret. WEIR_NOT_FOUND: only, required fields are missing or
 * empty; the text names all of them. */
weir_code fields_apply(buf *out, bytes fields, json config, weir_error *err);

/* "api_key" -> "apiKey": published plugins declare the one and read the other. False: no underscore in it. */
bool fields_twin(buf *out, const char *name);

#endif
