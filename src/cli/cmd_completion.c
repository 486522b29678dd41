/* weir completion: a script for the user's shell, on stdout.
 *
 * What there is to complete is said once, here, and of `weir serve` by the table of its settings; each shell's part makes its own script of
 * it. tests/terminal/completion asks the shells themselves, and compares with what the commands' --help lists. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "daemon/settings.h"

static const char plugin_words[] = "--config --config-file --allow --dir --override --ca --cache-dir --verbose --json --help";
static const char remote_words[] = "--server --token-file --data-dir --ca --json --help";
static const char own_words[] = "--help";
static const char json_words[] = "--json --help";

static const struct {
    const char *command;
    const char *verbs;   /* what may come first */
    const char *options; /* its own */
    const char *more;    /* and those of its kind */
    bool files;          /* it takes some */
} words[] = {
    {"serve", "", "--config --cluster --demo --admin-token --check-config --print-config", own_words, false},
    {"plugin", "list show install approve reject enable disable reload rollback remove traps", "--allow --sha256 --force --yes", remote_words, true},
    {"connection", "list show create set test enable disable remove", "--config --config-file --unset --name --yes", remote_words, false},
    {"stream", "list show add start stop restart remove", "--connection --plugin --yes", remote_words, false},
    {"secret", "list set remove", "", remote_words, false},
    {"history", "topics", "--from --to --limit --kinds --format --connection", remote_words, false},
    {"sink", "list show add enable disable remove", "--name --pattern --connection --policy --yes", remote_words, false},
    {"token", "list create remove", "--scope --expires --yes", remote_words, false},
    {"tail", "", "--from --since-seq --connection --count", remote_words, false},
    {"top", "", "--view --filter --sort --interval --once --server --token-file --data-dir --ca", own_words, false},
    {"run", "", "--stream --sink --duration --count --silence --quiet-after --heartbeat --retry --connect-timeout --lifetime --on-trap --slow-reader --stream-route --own-instances --watch --backfill --replay-from --replay-speed --quiet", plugin_words, true},
    {"command", "", "--timeout --csv --raw --fresh --max-wait --from --to --limit --chart --output", plugin_words, true},
    {"call", "", "--input --input-file --timeout --repeat", plugin_words, true},
    {"inspect", "", "", plugin_words, true},
    {"why", "", "--last --state-dir", json_words, true},
    {"sim", "woox replay", "--port --address --plain --certs --speed --deflate --duration --quiet --seed --start --rate --frames --symbols --history --truth --fault --no-limits --ping --silence --life --key --secret --legacy-kline --wrapped-kline --http --hold --loop", json_words, true},
    {"completion", "bash zsh fish", "", own_words, false},
    {NULL, NULL, NULL, NULL, false},
};

/* What comes behind an option: words of a list, a file, a folder; for the others something that nobody can know. */
static const struct {
    const char *options, *values;
} values[] = {
    {"--sink", "table ndjson: csv: unix: udp:// redis:// nats:// kafka://"},
    {"--slow-reader", "block drop_oldest newest_per_key disconnect"},
    {"--policy", "drop_oldest newest_per_key disconnect"},
    {"--on-trap", "restart fail quarantine"},
    {"--stream-route", "auto loop callback"},
    {"--view", "streams plugins sinks readers connections log"},
    {"--scope", "read operate admin"},
    {"--kinds", "data gap status"},
    {"--format", "ndjson csv"},
    {NULL, NULL},
};
static const char file_options[] = "--config-file --input-file --output --ca --token-file --truth --http --replay-from --tls-certificate --tls-key --secrets-key-file --venues-ca-file --pid-file";
static const char folder_options[] = "--cache-dir --data-dir --certs --state-dir --dir";
static const char flags[] = "--help --json --verbose --force --yes --once --own-instances --watch --backfill --quiet --csv --raw --fresh --chart --plain --deflate --no-limits --legacy-kline --wrapped-kline --hold --loop --demo --admin-token --check-config --print-config";

/* ---- Walks ---- */

/* The next word of a list; false at its end. */
static bool next_word(const char **at, char word[64])
{
    while (**at == ' ')
        ++*at;
    size_t n = strcspn(*at, " ");
    snprintf(word, 64, "%.*s", (int)n, *at);
    *at += n;
    return n > 0;
}

static bool is_among(const char *list, const char *wanted)
{
    char word[64];
    while (next_word(&list, word))
        if (!strcmp(word, wanted))
            return true;
    return false;
}

/* "tls.certificate" as a flag. */
static void flag_of(const setting *s, char out[64])
{
    snprintf(out, 64, "--%s", s->name);
    for (char *c = out; *c; c++)
        if (*c == '.' || *c == '_')
            *c = '-';
}

static const char *choices_of(const char *option)
{
    char flag[64];
    for (int i = 0; values[i].options; i++)
        if (!strcmp(values[i].options, option))
            return values[i].values;
    for (const setting *s = settings_table; s->name; s++) {
        flag_of(s, flag);
        if (!strcmp(flag, option))
            return s->choices ? s->choices : s->type == SETTING_BOOL ? "true false"
                                                                     : NULL;
    }
    return NULL;
}

/* Each option of a command. */
static void each_option(int command, void (*fn)(const char *option, void *arg), void *arg)
{
    char word[64];
    for (const char *at = words[command].options; next_word(&at, word);)
        fn(word, arg);
    for (const char *at = words[command].more; next_word(&at, word);)
        fn(word, arg);
    for (const setting *s = settings_table; s->name && !strcmp(words[command].command, "serve"); s++) {
        flag_of(s, word);
        fn(word, arg);
    }
}

static void print_option(const char *option, void *arg)
{
    (void)arg;
    printf("%s ", option);
}

static void print_options(int command)
{
    each_option(command, print_option, NULL);
}

/* Between single quotes, as all three shells take it. */
static void print_quoted(const char *text)
{
    putchar('\'');
    for (; *text; text++)
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*text);
    putchar('\'');
}

/* "--ca|--token-file", for the shells' `case`; all options that take a value and have neither a list nor files. */
static void print_case(const char *list)
{
    char word[64];
    for (bool first = true; next_word(&list, word); first = false)
        printf("%s%s", first ? "" : "|", word);
}

/* A branch for each option with a list of values. */
static void print_lists(const char *branch)
{
    char flag[64];
    for (int i = 0; values[i].options; i++)
        printf(branch, values[i].options, values[i].values);
    for (const setting *s = settings_table; s->name; s++) {
        flag_of(s, flag);
        if (s->choices)
            printf(branch, flag, s->choices);
    }
}

/* ---- bash ---- */

static void bash(void)
{
    printf("# weir for bash: source this, or put it into /etc/bash_completion.d/weir\n"
           "_weir() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
           "    if [ \"$COMP_CWORD\" = 1 ]; then\n        words='");
    for (const command *c = commands; c->name; c++)
        printf("%s ", c->name);
    printf("--help --version'\n"
           "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n        return\n    fi\n    case $prev in\n");
    print_lists("    %s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n");
    printf("    ");
    print_case(file_options);
    printf(") compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n    ");
    print_case(folder_options);
    printf(") compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"); return ;;\n    --config)\n"
           "        [ \"${COMP_WORDS[1]}\" = serve ] && { compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); }\n        return ;;\n    ");
    print_case(flags);
    printf(") ;;\n    --*) return ;;\n    esac\n    local verbs= files=\n    case ${COMP_WORDS[1]} in\n");
    for (int i = 0; words[i].command; i++) {
        printf("    %s) words='", words[i].command);
        print_options(i);
        printf("' verbs='%s'%s ;;\n", words[i].verbs, words[i].files ? " files=1" : "");
    }
    printf("    esac\n"
           "    if [ \"${cur#-}\" != \"$cur\" ]; then\n        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n        return\n    fi\n"
           "    [ \"$COMP_CWORD\" = 2 ] && COMPREPLY=($(compgen -W \"$verbs\" -- \"$cur\"))\n"
           "    [ \"$COMP_CWORD\" = 2 ] && [ -n \"$verbs\" ] && return\n"
           "    [ -n \"$files\" ] && { compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); }\n"
           "    [ -z \"$cur\" ] && [ ${#COMPREPLY[@]} = 0 ] && COMPREPLY=($(compgen -W \"$words\"))\n"
           "    return 0\n}\ncomplete -F _weir weir\n");
}

/* ---- zsh ---- */

static void zsh(void)
{
    printf("#compdef weir\n# weir for zsh: put it as _weir into a folder of $fpath, or: source <(weir completion zsh)\n"
           "_weir() {\n  local -a names verbs options\n  local files=\n  names=(\n");
    for (const command *c = commands; c->name; c++) {
        char line[200];
        snprintf(line, sizeof line, "%s:%s", c->name, c->summary);
        printf("    ");
        print_quoted(line);
        putchar('\n');
    }
    printf("  )\n  if (( CURRENT == 2 )); then\n    _describe command names\n    compadd -- --help --version\n    return\n  fi\n  case $words[CURRENT-1] in\n");
    print_lists("  %s) compadd -- %s; return ;;\n");
    printf("  ");
    print_case(file_options);
    printf(") _files; return ;;\n  ");
    print_case(folder_options);
    printf(") _files -/; return ;;\n  --config) [[ $words[2] == serve ]] && _files; return ;;\n  ");
    print_case(flags);
    printf(") ;;\n  --*) _message value; return ;;\n  esac\n  case $words[2] in\n");
    for (int i = 0; words[i].command; i++) {
        printf("  %s) options=(", words[i].command);
        print_options(i);
        printf(") verbs=(%s)%s ;;\n", words[i].verbs, words[i].files ? " files=1" : "");
    }
    printf("  esac\n"
           "  if [[ $words[CURRENT] == -* ]]; then compadd -- $options; return; fi\n"
           "  if (( CURRENT == 3 && $#verbs )); then compadd -- $verbs; return; fi\n"
           "  if [[ -n $files ]]; then _files; else compadd -- $options; fi\n}\n"
           "if [[ ${funcstack[1]} == _weir ]]; then _weir \"$@\"; else compdef _weir weir; fi\n");
}

/* ---- fish ---- */

static void fish_option(const char *option, void *arg)
{
    const char *command = arg, *choices = choices_of(option);
    bool serves_config = !strcmp(command, "serve") && !strcmp(option, "--config");
    printf("complete -c weir -n '__weir_is %s' -l %s", command, option + 2);
    if (is_among(flags, option))
        putchar('\n');
    else if (choices)
        printf(" -x -a '%s'\n", choices);
    else if (is_among(file_options, option) || serves_config)
        puts(" -r -F");
    else if (is_among(folder_options, option))
        puts(" -x -a '(__fish_complete_directories)'");
    else
        puts(" -x");
}

static void fish(void)
{
    printf("# weir for fish: put it into ~/.config/fish/completions/weir.fish\n"
           "function __weir_is\n    set -l said (commandline -opc)\n    test (count $said) -ge 2; and test $said[2] = $argv[1]\nend\n"
           "function __weir_first\n    __weir_is $argv[1]; and test (count (commandline -opc)) -eq 2\nend\n"
           "function __weir_verb\n    __weir_first $argv[1]; and contains -- $argv[1] plugin sim\nend\n"
           "complete -c weir -f\n"
           "complete -c weir -n 'test (count (commandline -opc)) -eq 1' -l help\ncomplete -c weir -n 'test (count (commandline -opc)) -eq 1' -l version\n");
    for (const command *c = commands; c->name; c++) {
        printf("complete -c weir -n 'test (count (commandline -opc)) -eq 1' -a %s -d ", c->name);
        print_quoted(c->summary);
        putchar('\n');
    }
    for (int i = 0; words[i].command; i++) {
        if (*words[i].verbs)
            printf("complete -c weir -n '__weir_first %s' -a '%s'\n", words[i].command, words[i].verbs);
        if (words[i].files)
            printf("complete -c weir -n '__weir_is %s; and not __weir_verb %s' -F\n", words[i].command, words[i].command);
        each_option(i, fish_option, (void *)words[i].command);
    }
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
        puts("usage: weir completion bash|zsh|fish\n\n"
             "examples\n"
             "  source <(weir completion bash)       # or zsh, behind compinit\n"
             "  weir completion fish > ~/.config/fish/completions/weir.fish");
    else
        return cli_usage("completion", "expected bash, zsh or fish");
    return EXIT_FINE;
}
