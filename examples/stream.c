/* Streams one-minute candles to stdout, a JSON line each, until Ctrl-C.
 *
 *     stream woox.wasm ohlcv SPOT_BTC_USDT '{"timeframe":"1m"}'
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <weir/weir.h>

static weir_host *host;

static void print_record(void *arg, const weir_record *record)
{
    fprintf(arg, "%.*s\n", (int)record->json_len, record->json);
}

static void on_interrupt(int number)
{
    (void)number;
    weir_host_stop(host);
}

int main(int argc, char **argv)
{
    weir_error error = WEIR_ERROR_INIT;
    weir_plugin *plugin;
    weir_stream *stream;
    weir_sub *sub;

    if (argc < 4)
        errx(2, "usage: stream PLUGIN TYPE IDENTIFIER [PARAMETERS]");
    if (weir_host_new(&host, NULL, &error) ||
        weir_plugin_load(&plugin, host, argv[1], NULL, &error) ||
        weir_subscribe(&sub, host, ">", print_record, stdout, &error) ||
        weir_stream_open(&stream, plugin, argv[2], argv[3], argv[4], &error))
        errx(1, "%s", error.text);
    signal(SIGINT, on_interrupt);
    weir_host_run(host);
    weir_host_free(host);
    return 0;
}
