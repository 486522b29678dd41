/* Variables. `set` takes {"key":…,"value":…} (an empty value deletes), `get` a key as plain text, and
 * `fill` sets 64 KiB values under ever new keys until the host stops it. */
#include "weir_pdk.h"

WEIR_EXPORT(set)
{
    static weir_buf key, value;
    weir_str in = weir_input();
    weir_buf_clear(&key);
    weir_buf_clear(&value);
    if (!weir_json_string(weir_json_member(in, "key"), &key) || !weir_json_string(weir_json_member(in, "value"), &value))
        return 1;
    weir_put_char(&key, 0);
    weir_var_set(key.at, weir_buf_str(&value));
    return 0;
}

WEIR_EXPORT(get)
{
    static weir_buf key, value;
    weir_buf_clear(&key);
    weir_put_str(&key, weir_input());
    weir_put_char(&key, 0);
    if (!weir_var_get(key.at, &value))
        return 1;
    return weir_reply(&value);
}

WEIR_EXPORT(fill)
{
    static char value[65536], key[24];
    for (uint64_t n = 0;; n++) {
        weir_buf b = weir_buf_over(key, sizeof key - 1);
        weir_put_u64(&b, n);
        key[b.len] = 0;
        weir_var_set(key, weir_slice(value, sizeof value));
    }
    return 0;
}
