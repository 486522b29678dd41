/* Answers the config value whose key is the input, and 1 if there is none. */
#include "weir_pdk.h"

WEIR_EXPORT(get)
{
    static weir_buf key, value;
    weir_buf_clear(&key);
    weir_put_str(&key, weir_input());
    weir_put_char(&key, 0);
    if (!weir_config_get(key.at, &value))
        return 1;
    return weir_reply(&value);
}
