/* weir top: a running daemon, live, on a terminal. Here: the terminal, the keys, the questions; rows and frames are top.h's. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/chart.h"
#include "cli/remote.h"
#include "cli/top.h"

#define INTERVAL_NS NS_PER_S
#define SIGNALS 6

static void help(void)
{
    fputs("usage: weir top [OPTIONS]\n\n"
          "A running weir serve, live: streams with their rates, lag, gaps and restarts, plugins, sinks, readers,\n"
          "connections, its log. '?' lists the keys.\n\n"
          "options\n"
          "  --view VIEW            begin with streams (the default), plugins, sinks, readers, connections or log\n"
          "  --filter TEXT          only rows with this text\n"
          "  --sort COLUMN          by this column, such as REC/S or GAPS: the most first\n"
          "  --interval TIME        between two frames: 1s\n"
          "  --once                 one frame with all rows, as text: for scripts. Its rates are those of one interval\n" REMOTE_HELP
          "\nexamples\n"
          "  weir top\n"
          "  weir top --view plugins --interval 5s\n"
          "  weir top --once --sort gaps | head -20\n",
          stdout);
}

typedef struct screen {
    top top;
    remote *remote;
    loop_io *in;
    timer again;
    loop_signal *signals[SIGNALS];
    struct termios before;
    bool raw;
    uint64_t interval_ns;
    http_call *calls[2], *action; /* node, view; r */
    top_view asked;               /* which view calls[1] is of */
    bool lost;                    /* the status says that it does not answer */
    bool over;
    int code;
} screen;

static void end(screen *s, int code)
{
    s->over = true;
    s->code = code;
    loop_stop(remote_loop(s->remote));
}

/* ---- The terminal ---- */

static void put_all(const char *at, size_t len)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    while (len) {
        ssize_t n = write(STDOUT_FILENO, at, len);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) { /* the terminal's input is not waited for, and often both are one */
            if (poll(&out, 1, 1000) < 0 && errno != EINTR)
                return;
        } else if (n < 0 && errno != EINTR) {
            return;
        }
    }
}

static void enter(screen *s)
{
    static const char begin[] = "\x1b[?1049h\x1b[?25l\x1b[2J";
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &s->before))
        return;
    raw = s->before;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    s->raw = true;
    put_all(begin, sizeof begin - 1);
}

static void leave(screen *s)
{
    static const char done[] = "\x1b[0m\x1b[?25h\x1b[?1049l";
    if (!s->raw)
        return;
    put_all(done, sizeof done - 1);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &s->before);
    s->raw = false;
}

static void draw(screen *s)
{
    chart_size size = chart_size_now();
    buf frame, out;
    if (!s->raw)
        return;
    size_t columns = size.columns > 20 ? (size_t)size.columns : 20, lines = size.lines > 5 ? (size_t)size.lines : 5;
    buf_init(&frame, 4u << 20);
    buf_init(&out, 8u << 20);
    s->top.colour = size.colour;
    top_frame(&s->top, &frame, columns, lines);
    buf_add_text(&out, "\x1b[H");
    for (size_t i = 0; i < frame.len; i++)
        if (frame.at[i] != '\n')
            buf_add_char(&out, frame.at[i]);
        else
            buf_add_text(&out, i + 1 < frame.len ? "\x1b[K\r\n" : "\x1b[K"); /* a newline at the end would scroll */
    buf_add_text(&out, "\x1b[J");
    if (!out.failed)
        put_all(out.at, out.len);
    buf_fini(&frame);
    buf_fini(&out);
}

/* ---- Questions ---- */

static void say(screen *s, const char *text)
{
    snprintf(s->top.status, sizeof s->top.status, "%s", text);
}

static void later(screen *s)
{
    if (!s->calls[0] && !s->calls[1])
        timer_after(&s->again, s->interval_ns);
}

/* True: there is an answer. */
static bool answered(screen *s, const http_response *response)
{
    weir_error err = WEIR_ERROR_INIT;
    if (remote_judge(s->remote, response, &err)) {
        say(s, err.text);
        s->lost = true;
        return false;
    }
    if (s->lost)
        say(s, "");
    s->lost = false;
    return true;
}

static void on_node(void *arg, const http_response *response)
{
    screen *s = arg;
    s->calls[0] = NULL;
    if (s->over)
        return;
    if (answered(s, response))
        top_take_node(&s->top, response->body, clock_mono());
    draw(s);
    later(s);
}

static void on_rows(void *arg, const http_response *response)
{
    screen *s = arg;
    s->calls[1] = NULL;
    if (s->over)
        return;
    if (s->asked == s->top.view && answered(s, response) && !top_take(&s->top, response->body, clock_real(), clock_mono()))
        say(s, "the answer makes no sense; is that a weir serve of this version?");
    draw(s);
    later(s);
}

static void ask(void *arg)
{
    screen *s = arg;
    weir_error err = WEIR_ERROR_INIT;
    timer_stop(&s->again);
    s->asked = s->top.view;
    if ((!s->calls[0] && remote_start(s->remote, &s->calls[0], "GET", "/v1/node", on_node, s, &err)) ||
        (!s->calls[1] && remote_start(s->remote, &s->calls[1], "GET", top_view_path(s->asked), on_rows, s, &err))) {
        say(s, err.text);
        draw(s);
        later(s);
    }
}

static void cancel(http_call **call)
{
    if (*call)
        http_cancel(*call); /* its callback comes, and takes the pointer away */
}

static void show_view(screen *s, top_view view)
{
    s->top.view = view;
    s->top.sort_by = -1;
    s->top.reverse = false;
    s->top.count = s->top.shown_count = s->top.selected = s->top.first = 0;
    s->top.details = s->top.help = s->top.taken = false;
    if (s->calls[1]) { /* of the other view */
        bool over = s->over;
        s->over = true; /* its end is of no interest */
        cancel(&s->calls[1]);
        s->over = over;
    }
    ask(s);
}

static void on_acted(void *arg, const http_response *response)
{
    screen *s = arg;
    weir_error err = WEIR_ERROR_INIT;
    s->action = NULL;
    if (s->over)
        return;
    say(s, remote_judge(s->remote, response, &err) ? err.text : "done");
    draw(s);
    if (!s->calls[0] && !s->calls[1])
        ask(s);
}

static void restart(screen *s)
{
    weir_error err = WEIR_ERROR_INIT;
    const top_row *row = top_selected(&s->top);
    buf path;
    if (!row || s->action || s->top.view > TOP_PLUGINS) {
        say(s, s->action ? "one after the other, please" : row ? "only streams are restarted, and plugins reloaded"
                                                               : "there is nothing selected");
        return;
    }
    buf_init(&path, 1 << 16);
    buf_add_fmt(&path, "/v1/%s/", top_view_name(s->top.view));
    remote_put_piece(&path, row->id);
    buf_add_text(&path, s->top.view == TOP_STREAMS ? "/restart" : "/reload");
    buf_add_char(&path, '\0');
    say(s, "asked for it ...");
    if (remote_start(s->remote, &s->action, "POST", path.at, on_acted, s, &err))
        say(s, err.text);
    buf_fini(&path);
}

/* ---- Keys ---- */

enum { KEY_UP = 256,
       KEY_DOWN,
       KEY_PAGE_UP,
       KEY_PAGE_DOWN,
       KEY_HOME,
       KEY_END,
       KEY_NONE };

/* One key from the front; *used octets of it. An Esc that stands alone is itself. */
static int read_key(const char *at, size_t len, size_t *used)
{
    static const struct {
        const char *text;
        int key;
    } keys[] = {{"[A", KEY_UP}, {"[B", KEY_DOWN}, {"OA", KEY_UP}, {"OB", KEY_DOWN}, {"[5~", KEY_PAGE_UP}, {"[6~", KEY_PAGE_DOWN}, {"[H", KEY_HOME}, {"[F", KEY_END}, {"[1~", KEY_HOME}, {"[4~", KEY_END}};
    *used = 1;
    if (*at != 0x1b || len == 1)
        return (unsigned char)*at;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (len > strlen(keys[i].text) && !strncmp(at + 1, keys[i].text, strlen(keys[i].text))) {
            *used = 1 + strlen(keys[i].text);
            return keys[i].key;
        }
    if (at[1] != '[' && at[1] != 'O')
        return 0x1b;
    for (*used = 2; *used < len && (at[*used] < '@' || at[*used] > '~');)
        ++*used;
    *used += *used < len;
    return KEY_NONE;
}

static void type(screen *s, int key)
{
    top *t = &s->top;
    size_t len = strlen(t->filter);
    if (key == 0x1b)
        t->filter[0] = '\0';
    if (key == 0x1b || key == '\r' || key == '\n')
        t->typing = false;
    else if (key == 0x7f || key == '\b')
        t->filter[len ? len - 1 : 0] = '\0';
    else if (key > ' ' && key < 0x7f && len + 1 < sizeof t->filter)
        t->filter[len] = (char)key, t->filter[len + 1] = '\0';
    top_arrange(t);
}

/* ":log" and the like; what there is not is said. */
static void type_command(screen *s, int key)
{
    top *t = &s->top;
    size_t len = strlen(t->command);
    if (key > ' ' && key < 0x7f && len + 1 < sizeof t->command)
        t->command[len] = (char)key, t->command[len + 1] = '\0';
    else if ((key == 0x7f || key == '\b') && len)
        t->command[len - 1] = '\0';
    t->commanding = key != 0x1b && key != '\r' && key != '\n' && (len || (key != 0x7f && key != '\b'));
    if (key != '\r' && key != '\n')
        return;
    top_view v = top_view_find(t->command);
    if (!strcmp(t->command, "q") || !strcmp(t->command, "quit"))
        end(s, EXIT_FINE);
    else if (v < TOP_VIEWS)
        show_view(s, v);
    else if (*t->command)
        say(s, "no such view: streams, plugins, sinks, readers, connections, log");
}

static bool move(top *t, int key)
{
    size_t last = t->shown_count ? t->shown_count - 1 : 0, page = 10;
    switch (key) {
    case 'j':
    case KEY_DOWN:
        t->selected += t->selected < last;
        return true;
    case 'k':
    case KEY_UP:
        t->selected -= t->selected > 0;
        return true;
    case KEY_PAGE_DOWN:
        t->selected = t->selected + page < last ? t->selected + page : last;
        return true;
    case KEY_PAGE_UP:
        t->selected = t->selected > page ? t->selected - page : 0;
        return true;
    case 'g':
    case KEY_HOME:
        t->selected = 0;
        return true;
    case 'G':
    case KEY_END:
        t->selected = last;
        return true;
    default:
        return false;
    }
}

static void press(screen *s, int key)
{
    top *t = &s->top;
    if (!s->lost)
        say(s, "");
    if (t->typing) {
        type(s, key);
    } else if (t->commanding) {
        type_command(s, key);
    } else if (key == ':') {
        t->commanding = true;
        t->command[0] = '\0';
    } else if (key == 'q') {
        end(s, EXIT_FINE);
    } else if (key == 0x1b) {
        if (!t->help && !t->details)
            t->filter[0] = '\0';
        t->help = t->details = false;
        top_arrange(t);
    } else if (key >= '1' && key < '1' + TOP_VIEWS) {
        show_view(s, (top_view)(key - '1'));
    } else if (key == '?') {
        t->help = !t->help;
    } else if (key == '/') {
        t->typing = true;
        t->help = t->details = false;
    } else if (key == 's') {
        top_next_order(t);
    } else if (key == 'S') {
        t->reverse = !t->reverse;
        top_arrange(t);
    } else if (key == '\r' || key == '\n') {
        t->details = !t->details && top_selected(t);
        t->scrolled = 0;
    } else if (t->details && (key == 'j' || key == KEY_DOWN)) {
        t->scrolled++;
    } else if (t->details && (key == 'k' || key == KEY_UP)) {
        t->scrolled -= t->scrolled > 0;
    } else if (key == 'r') {
        restart(s);
    } else {
        move(t, key);
    }
}

static void on_keys(void *arg, int events, int error)
{
    screen *s = arg;
    char text[256];
    ssize_t n = read(STDIN_FILENO, text, sizeof text);
    (void)events;
    if (error || (n < 0 && errno != EAGAIN && errno != EINTR)) { /* the terminal is gone */
        end(s, EXIT_FAILED);
        return;
    }
    for (size_t at = 0, used; n > 0 && at < (size_t)n && !s->over; at += used)
        press(s, read_key(text + at, (size_t)n - at, &used));
    if (!s->over)
        draw(s);
}

/* ---- Signals ---- */

static void on_end(void *arg)
{
    end(arg, EXIT_FINE);
}

static void on_resize(void *arg)
{
    draw(arg);
}

static void on_pause(void *arg)
{
    screen *s = arg;
    leave(s);
    kill(getpid(), SIGSTOP);
    enter(s); /* it goes on here */
    draw(s);
}

static weir_code listen_to_signals(screen *s, weir_error *err)
{
    static const struct {
        int number;
        void (*fn)(void *arg);
    } all[SIGNALS] = {{SIGINT, on_end}, {SIGTERM, on_end}, {SIGHUP, on_end}, {SIGQUIT, on_end}, {SIGWINCH, on_resize}, {SIGTSTP, on_pause}};
    for (int i = 0; i < SIGNALS; i++)
        if (signal_open(&s->signals[i], remote_loop(s->remote), all[i].number, all[i].fn, s, err))
            return err->code;
    return WEIR_OK;
}

/* ---- The command ---- */

static int live(screen *s)
{
    weir_error err = WEIR_ERROR_INIT;
    loop *l = remote_loop(s->remote);
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return cli_usage("top", "this is no terminal; --once prints one frame");
    timer_init(&s->again, l, ask, s);
    if (listen_to_signals(s, &err) || io_open(&s->in, l, STDIN_FILENO, on_keys, s, &err) || io_want(s->in, IO_READ))
        return cli_fail(EXIT_FAILED, "%s", *err.text ? err.text : "the terminal cannot be read");
    enter(s);
    ask(s);
    draw(s);
    while (!s->over)
        loop_step(l, -1);
    leave(s);
    return s->code;
}

static void on_rested(void *arg)
{
    *(bool *)arg = true;
}

static void rest(screen *s)
{
    bool rested = false;
    timer pause;
    timer_init(&pause, remote_loop(s->remote), on_rested, &rested);
    timer_after(&pause, s->interval_ns);
    while (!rested)
        loop_step(remote_loop(s->remote), -1);
}

/* Two answers, an interval apart: a rate is a difference. */
static int once(screen *s)
{
    chart_size size = chart_size_now();
    int code = EXIT_FINE;
    for (int i = 0; i < 2 && !code; i++) {
        remote_answer node, rows;
        if (i)
            rest(s);
        if (!(code = remote_ask(s->remote, &node, "GET", "/v1/node", (bytes){0}))) {
            top_take_node(&s->top, buf_bytes(&node.body), clock_mono());
            code = remote_fetch(s->remote, &rows, top_view_path(s->top.view));
            if (!code && !top_take(&s->top, buf_bytes(&rows.body), clock_real(), clock_mono()))
                code = cli_fail(EXIT_FAILED, "%s answers, but not as a weir serve does; is that one?", remote_where(s->remote));
            remote_answer_free(&rows);
        }
        remote_answer_free(&node);
    }
    buf out;
    buf_init(&out, 512u << 20);
    if (!code)
        top_frame(&s->top, &out, isatty(STDOUT_FILENO) || getenv("COLUMNS") ? (size_t)size.columns : 132, 0);
    fwrite(out.at ? out.at : "", 1, out.len, stdout);
    buf_fini(&out);
    return code;
}

typedef struct wish {
    remote_options where;
    const char *sort;
    bool once;
} wish;

static int take_view(top *t, const char *name)
{
    top_view v = top_view_find(name);
    if (v == TOP_VIEWS)
        return cli_usage("top", "--view '%s': streams, plugins, sinks, readers, connections and log are there", name);
    t->view = v;
    return EXIT_FINE;
}

/* True: go on. */
static bool read_options(screen *s, wish *w, int argc, char **argv, int *code)
{
    static const struct option options[] = {{"view", required_argument, 0, 'v'}, {"filter", required_argument, 0, 'f'}, {"sort", required_argument, 0, 's'}, {"interval", required_argument, 0, 'i'}, {"once", no_argument, 0, 'o'}, REMOTE_OPTIONS, {0, 0, 0, 0}};
    double seconds = 1;
    int option;
    while (!*code && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            help();
            return false;
        }
        w->once |= option == 'o';
        if (option == 'v')
            *code = take_view(&s->top, optarg);
        else if (option == 'f')
            snprintf(s->top.filter, sizeof s->top.filter, "%s", optarg);
        else if (option == 's')
            w->sort = optarg;
        else if (option == 'i' && (!cli_duration(optarg, &seconds) || seconds < 0.1 || seconds > 3600))
            *code = cli_usage("top", "--interval '%s': a time from 100ms to 1h is wanted", optarg);
        else if (option != 'i' && option != 'o' && !remote_option(&w->where, option, optarg))
            *code = cli_wrong_option("top", argv);
    }
    if (!*code && optind < argc)
        *code = cli_usage("top", "'%s' is too much; --filter TEXT shows only what has it", argv[optind]);
    if (!*code && w->sort && !top_order_by(&s->top, w->sort))
        *code = cli_usage("top", "--sort '%s': the view '%s' has no such column", w->sort, top_view_name(s->top.view));
    s->interval_ns = (uint64_t)(seconds * 1e9);
    return !*code;
}

static void screen_fini(screen *s)
{
    s->over = true;
    for (int i = 0; i < 2; i++)
        cancel(&s->calls[i]);
    cancel(&s->action);
    if (s->in) {
        io_close(s->in);
        timer_stop(&s->again);
    }
    for (int i = 0; i < SIGNALS; i++)
        if (s->signals[i])
            signal_close(s->signals[i]);
    remote_close(s->remote);
    top_fini(&s->top);
}

int cmd_top(int argc, char **argv)
{
    static screen s;
    weir_error err = WEIR_ERROR_INIT;
    wish w = {0};
    int code = EXIT_FINE;
    if (top_init(&s.top, &err))
        return cli_fail(EXIT_FAILED, "%s", err.text);
    if (read_options(&s, &w, argc, argv, &code) && (s.remote = remote_open(&w.where, &code))) {
        s.top.where = remote_where(s.remote);
        code = w.once ? once(&s) : live(&s);
    }
    screen_fini(&s);
    return code;
}
