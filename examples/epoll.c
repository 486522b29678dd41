/* Weir inside a program that has an event loop of its own: here a bare epoll that also reads stdin.
 *
 *     epoll woox.wasm trades SPOT_BTC_USDT      (Enter counts, end of input stops)
 */
#include <err.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <weir/weir.h>

static unsigned long records;

static void count_record(void *arg, const weir_record *record)
{
    (void)arg;
    (void)record;
    records++;
}

int main(int argc, char **argv)
{
    weir_error error = WEIR_ERROR_INIT;
    weir_host *host;
    weir_plugin *plugin;
    weir_stream *stream;
    weir_sub *sub;
    char line[256];
    int loop = epoll_create1(0);

    if (argc < 4)
        errx(2, "usage: epoll PLUGIN TYPE IDENTIFIER [PARAMETERS]");
    if (weir_host_new(&host, NULL, &error) ||
        weir_plugin_load(&plugin, host, argv[1], NULL, &error) ||
        weir_subscribe(&sub, host, ">", count_record, NULL, &error) ||
        weir_stream_open(&stream, plugin, argv[2], argv[3], argc > 4 ? argv[4] : NULL, &error))
        errx(1, "%s", error.text);

    epoll_ctl(loop, EPOLL_CTL_ADD, weir_host_fd(host), &(struct epoll_event){.events = EPOLLIN, .data.fd = -1});
    epoll_ctl(loop, EPOLL_CTL_ADD, STDIN_FILENO, &(struct epoll_event){.events = EPOLLIN, .data.fd = STDIN_FILENO});
    for (;;) {
        struct epoll_event event;
        int n = epoll_wait(loop, &event, 1, weir_host_timeout(host));
        weir_host_step(host, 0);
        if (n == 1 && event.data.fd == STDIN_FILENO) {
            if (read(STDIN_FILENO, line, sizeof line) <= 0)
                break;
            printf("%lu records\n", records);
            fflush(stdout);
        }
    }
    weir_host_free(host);
    return 0;
}
