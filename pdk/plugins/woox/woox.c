/* Who we are, settings, forms, time frames: the exports that ask the venue nothing. */
#include "woox.h"

WEIR_EXPORT(meta)
{
    weir_output(weir_text(
        "{\"pluginId\":\"woox-datasource\",\"name\":\"WOO X\",\"appId\":\"datasrc\",\"version\":\"1.0.0\","
        "\"category\":\"CexDataSource\",\"description\":\"Candles, trades, order books and tickers of the WOO X exchange\","
        "\"author\":\"Weir\",\"repository\":\"\",\"tags\":[\"woox\",\"crypto\",\"spot\",\"perpetual\"],\"contacts\":[],"
        "\"resources\":{\"allowedNetworkTargets\":[{\"pattern\":\"https://api.woox.io/*\"},"
        "{\"pattern\":\"https://api-pub.woox.io/*\"},{\"pattern\":\"wss://wss.woox.io/*\"}],\"fsWriteAccess\":{}},"
        "\"features\":[\"historic_ohlcv\",\"ohlcv_stream\",\"trades_stream\",\"orderbook_stream\",\"ticker_stream\","
        "\"bbo_stream\",\"account\"]}"));
    return 0;
}

WEIR_EXPORT(plugin_info)
{
    weir_output(weir_text(
        "{\"name\":\"WOO X\",\"version\":\"1.0.0\",\"author\":\"Weir\",\"type\":\"datasource\","
        "\"description\":\"Candles, trades, order books and tickers of the WOO X exchange\","
        "\"streamTypes\":[\"ohlcv\",\"trades\",\"orderbook\",\"ticker\",\"bbo\"],"
        "\"networkTargets\":[\"https://api.woox.io/*\",\"https://api-pub.woox.io/*\",\"wss://wss.woox.io/*\"]}"));
    return 0;
}

WEIR_EXPORT(get_name)
{
    weir_output(weir_text("WOO X"));
    return 0;
}

WEIR_EXPORT(get_credential_fields)
{
    weir_output(weir_text(
        "[{\"name\":\"api_key\",\"label\":\"API key\",\"description\":\"Needed for account data only; market data is public\","
        "\"required\":false,\"encrypt\":true,\"mask\":false,\"omitEmpty\":true},"
        "{\"name\":\"api_secret\",\"label\":\"API secret\",\"description\":\"Signs account requests, never leaves this machine\","
        "\"required\":false,\"encrypt\":true,\"mask\":true,\"omitEmpty\":true}]"));
    return 0;
}

/* Keeps the credentials as variables of the instance; what else the settings hold is not ours. Both
 * spellings are in use, see the names of get_credential_fields and of older plugins. */
WEIR_EXPORT(plugin_configure)
{
    static weir_buf value;
    weir_json_iter it = weir_json_each(weir_input());
    while (weir_json_next(&it)) {
        bool key = weir_is(it.key, "apiKey") || weir_is(it.key, "api_key");
        if (!key && !weir_is(it.key, "apiSecret") && !weir_is(it.key, "api_secret"))
            continue;
        weir_buf_clear(&value);
        if (!weir_json_string(it.value, &value)) {
            weir_error(key ? "plugin_configure: 'api_key' is no string" : "plugin_configure: 'api_secret' is no string");
            return 1;
        }
        weir_var_set(key ? "apiKey" : "apiSecret", weir_buf_str(&value));
    }
    if (it.bad || weir_json_blank(it.at, it.end) != it.end) {
        weir_error("plugin_configure: the settings are no JSON object of strings");
        return 1;
    }
    weir_output(weir_text("configured"));
    return 0;
}

static const woox_timeframe timeframes[] = {
    {"1m", "1m", NULL, "1 minute", 60},
    {"3m", "3m", NULL, "3 minutes", 180},
    {"5m", "5m", NULL, "5 minutes", 300},
    {"15m", "15m", NULL, "15 minutes", 900},
    {"30m", "30m", NULL, "30 minutes", 1800},
    {"1h", "1h", NULL, "1 hour", 3600},
    {"2h", "2h", NULL, "2 hours", 7200},
    {"4h", "4h", NULL, "4 hours", 14400},
    {"6h", "6h", NULL, "6 hours", 21600},
    {"12h", "12h", NULL, "12 hours", 43200},
    {"1d", "1d", "1D", "1 day", 86400},
    {NULL, "3d", "3D", "3 days", 259200},
    {"1w", "1w", "1W", "1 week", 604800},
    {"1mon", "1M", NULL, "1 month", 2592000},
};

const woox_timeframe *woox_timeframe_find(weir_str name)
{
    for (size_t i = 0; i < sizeof timeframes / sizeof *timeframes; i++) {
        const woox_timeframe *t = &timeframes[i];
        if ((t->name && weir_is(name, t->name)) || weir_is(name, t->topic) || (t->alias && weir_is(name, t->alias)))
            return t;
    }
    return NULL;
}

WEIR_EXPORT(get_timeframes)
{
    static weir_buf out;
    weir_buf_clear(&out);
    for (size_t i = 0; i < sizeof timeframes / sizeof *timeframes; i++) {
        if (!timeframes[i].name)
            continue;
        weir_put_text(&out, out.len ? ",{\"label\":\"" : "[{\"label\":\"");
        weir_put_text(&out, timeframes[i].label);
        weir_put_text(&out, "\",\"apiValue\":\"");
        weir_put_text(&out, timeframes[i].name);
        weir_put_text(&out, "\",\"interval\":");
        weir_put_u64(&out, timeframes[i].seconds);
        weir_put_text(&out, "}");
    }
    weir_put_text(&out, "]");
    return weir_reply(&out);
}

bool woox_symbol_ok(weir_str symbol)
{
    for (size_t i = 0; i < symbol.len; i++) {
        char c = symbol.at[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return symbol.len > 0 && symbol.len < sizeof((woox_key *)0)->symbol;
}
