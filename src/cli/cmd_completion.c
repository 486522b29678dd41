/* weir completion: a script for the user's shell, on stdout. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const char common_words[] = "--config --config-file --allow --dir --override --ca --cache-dir --verbose --json --help";
static const char remote_words[] = "--server --token-file --data-dir --ca --json --help";
static const struct {
    const char *command, *words;
    bool remote; /* it asks a running daemon */
} words[] = {
    {"serve", "--config --demo --admin-token --check-config --print-config --data-dir --name --pid-file --drain --listen-address --listen-port --listen-hosts --tls-certificate --tls-key --log-level --log-format --secrets-key-file --history-size --history-age --history-flush", false},
    {"plugin", "list show install approve reject enable disable reload rollback remove traps --allow --sha256 --force --yes", true},
    {"connection", "list show create set test enable disable remove --unset --name --yes", true},
    {"stream", "list show add start stop restart remove --connection --plugin --yes", true},
    {"secret", "list set remove", true},
    {"history", "topics --from --to --limit --kinds --format --connection", true},
    {"sink", "list show add enable disable remove --name --pattern --policy --yes", true},
    {"token", "list create remove --scope --expires --yes", true},
    {"tail", "--from --since-seq --connection --count", true},
    {"top", "--view --filter --sort --interval --once", true},
    {"run", "--stream --sink --duration --count --silence --quiet-after --heartbeat --retry --connect-timeout --lifetime --on-trap --slow-reader --stream-route --own-instances --watch --backfill --replay-from --replay-speed --quiet", false},
    {"command", "--timeout --csv --raw --fresh --max-wait --from --to --limit --chart --output", false},
    {"call", "--input --input-file --timeout --repeat", false},
    {"inspect", "", false},
    {"why", "--last --state-dir", false},
    {"sim", "--port --address --plain --certs --speed --deflate --duration --quiet --seed --start --rate --frames --symbols --history --truth --fault --no-limits --ping --silence --life --key --secret --legacy-kline --wrapped-kline --http --hold --loop", false},
    {NULL, NULL, false},
};

static void bash(void)
{
    printf("# weir for bash: source this, or put it into /etc/bash_completion.d/weir\n_weir() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
           "    if [ \"$COMP_CWORD\" = 1 ]; then\n        words='");
    for (const command *c = commands; c->name; c++)
        printf("%s ", c->name);
    printf("--help --version'\n    else\n        case $prev in\n        --sink|-o) words='table ndjson ndjson: csv csv: unix: udp:// redis:// nats:// kafka://' ;;\n"
           "        --slow-reader) words='block drop_oldest newest_per_key disconnect' ;;\n"
           "        --config-file|--input-file|-f|--ca) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
           "        --cache-dir) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n"
           "        sim) words='woox replay --help' ;;\n        completion) words='bash zsh fish' ;;\n        *)\n"
           "            case ${COMP_WORDS[1]} in\n");
    for (int i = 0; words[i].command; i++)
        printf("            %s) words='%s %s' ;;\n", words[i].command, words[i].words, words[i].remote ? remote_words : common_words);
    printf("            esac\n            [ \"${cur#-}\" = \"$cur\" ] && { COMPREPLY=($(compgen -f -- \"$cur\")); return; }\n"
           "            ;;\n        esac\n    fi\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o filenames -F _weir weir\n");
}

static void zsh(void)
{
    printf("#compdef weir\n# weir for zsh: put it as _weir into a folder of $fpath\n_weir() {\n  local -a names\n  names=(\n");
    for (const command *c = commands; c->name; c++)
        printf("    '%s:%s'\n", c->name, c->summary);
    printf("  )\n  if (( CURRENT == 2 )); then _describe command names; return; fi\n  case $words[2] in\n");
    for (int i = 0; words[i].command; i++)
        printf("  %s) compadd -- %s%s %s; _files ;;\n", words[i].command, !strcmp(words[i].command, "sim") ? "woox replay " : "", words[i].words, words[i].remote ? remote_words : common_words);
    printf("  completion) compadd bash zsh fish ;;\n  esac\n}\n_weir \"$@\"\n");
}

static void fish(void)
{
    printf("# weir for fish: put it into ~/.config/fish/completions/weir.fish\n");
    for (const command *c = commands; c->name; c++)
        printf("complete -c weir -n __fish_use_subcommand -a %s -d '%s'\n", c->name, c->summary);
    for (int i = 0; words[i].command; i++) {
        char all[1024], *save, *word;
        snprintf(all, sizeof all, "%s %s", words[i].words, words[i].remote ? remote_words : common_words);
        for (word = strtok_r(all, " ", &save); word; word = strtok_r(NULL, " ", &save))
            printf("complete -c weir -n '__fish_seen_subcommand_from %s' -%c %s\n", words[i].command, *word == '-' ? 'l' : 'a', *word == '-' ? word + 2 : word);
    }
    printf("complete -c weir -n '__fish_seen_subcommand_from sim' -a 'woox replay'\n"
           "complete -c weir -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n");
}

int cmd_completion(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "bash"))
        bash();
    else if (argc == 2 && !strcmp(argv[1], "zsh"))
        zsh();
    else if (argc == 2 && !strcmp(argv[1], "fish"))
        fish();
    else if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
        puts("usage: weir completion bash|zsh|fish\n\nexample\n  source <(weir completion bash)");
    else
        return cli_usage("completion", "expected bash, zsh or fish");
    return EXIT_FINE;
}
