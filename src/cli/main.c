/* weir: finds the command by its name. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

const command commands[] = {
    {"serve", "keep plugins and streams running, and serve them: API, pages, sinks", cmd_serve},
    {"run", "stream market data from a plugin", cmd_run},
    {"call", "call one export of a plugin", cmd_call},
    {"command", "ask a plugin for markets, time frames, candles, accounts", cmd_command},
    {"inspect", "say what a module is, what it may do, and what is wrong with it", cmd_inspect},
    {"why", "say why a plugin or a stream trapped last", cmd_why},
    {"sim", "a simulated venue, and a player of recorded traffic", cmd_sim},
    {"plugin", "plugins of a running weir serve: list, install, approve, roll back", cmd_plugin},
    {"connection", "its connections: list, create, set, test", cmd_connection},
    {"stream", "its streams: list, add, stop, restart", cmd_stream},
    {"secret", "set what a connection keeps secret", cmd_secret},
    {"history", "what it has recorded, as NDJSON or CSV", cmd_history},
    {"sink", "where its records go besides: files, servers, sockets", cmd_sink},
    {"token", "who may ask it what", cmd_token},
    {"tail", "its records as they come, without a loss", cmd_tail},
    {"top", "all of it, live, on a terminal", cmd_top},
    {"completion", "print the completion script for bash, zsh or fish", cmd_completion},
    {NULL, NULL, NULL},
};

static void help(FILE *out)
{
    fputs("usage: weir COMMAND [ARGUMENTS]\n\n"
          "Runs sandboxed market-data plugins (WebAssembly) and streams what they publish.\n\n"
          "commands\n",
          out);
    for (const command *c = commands; c->name; c++)
        fprintf(out, "  %-12s%s\n", c->name, c->summary);
    fputs("\noptions\n"
          "  -h, --help      this; 'weir COMMAND --help' for a command\n"
          "  -V, --version   the version\n\n"
          "examples\n"
          "  weir serve --demo\n"
          "  weir top\n"
          "  weir tail '>'\n"
          "  weir run woox.wasm --stream ohlcv:SPOT_BTC_USDT:1m\n"
          "  weir command woox.wasm getOHLCV symbol=SPOT_BTC_USDT timeframe=1m\n"
          "  weir call woox.wasm list_markets\n"
          "  weir inspect woox.wasm\n"
          "  weir why woox.wasm\n"
          "  weir sim woox --port 8443\n\n"
          "exit codes\n"
          "  0 fine   1 it did not work   2 wrong usage   3 the plugin cannot be loaded\n"
          "  4 a permission refuses it   5 the plugin answered with a failure\n",
          out);
}

/* A descriptor that the shell closed would go to the next file opened; in its place one that refuses. */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            _exit(EXIT_FAILED);
}

/* What the command printed has to have arrived. */
static int finish(int code)
{
    bool flushed = fflush(stdout) == 0;
    if (code == EXIT_FINE && (!flushed || ferror(stdout)))
        return cli_fail(EXIT_FAILED, "standard output: %s", flushed ? "not all of it could be written" : strerror(errno));
    return code;
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    opterr = 0; /* the commands say it themselves, by cli_wrong_option */
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        help(stdout);
        return finish(EXIT_FINE);
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        printf("weir %s\n", weir_version());
        return finish(EXIT_FINE);
    }
    for (const command *c = commands; c->name; c++)
        if (!strcmp(argv[1], c->name))
            return finish(c->run(argc - 1, argv + 1));
    cli_fail(EXIT_USAGE, "there is no command '%s'", argv[1]);
    help(stderr);
    return EXIT_USAGE;
}
