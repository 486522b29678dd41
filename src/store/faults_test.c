/* What a disk does wrong: full, read-only, damaged, without power. The store goes on, says so, and loses nothing silently. */
#include "store/disk.h"
#include "store/testing.h"

#include "base/file.h"
#include "base/rand.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char path[160];

static const char *file(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static const char *why(void)
{
    const char *text = NULL;
    store_get_state(s, &text);
    return text;
}

/* ---- Full ---- */

TEST(faults, a_full_disk_fails_changes_with_a_text_and_keeps_what_was)
{
    disk_begin();
    set_up();
    open_store();
    CHECK_INT(put("stream", "1", "{\"a\":1}", "").code, WEIR_OK);
    disk_set(&disk.settings, DISK_FULL);
    answer a = put("stream", "1", "{\"a\":2}", "");
    CHECK_INT(a.code, WEIR_SYSTEM);
    CHECK_HAS(a.error, "settings.db': the disk is full; free some space and it goes on by itself");
    CHECK_INT(store_get_state(s, NULL), STORE_FULL);
    CHECK_HAS(why(), "the disk is full");
    CHECK_INT(flush_store().code, WEIR_OK); /* the history's is not */
    disk_set(&disk.settings, DISK_FINE);
    WAIT_FOR(store_get_state(s, NULL) == STORE_OK); /* found out without anybody's change */
    CHECK_TEXT(why(), "");
    CHECK_INT(put("stream", "2", "{}", "").code, WEIR_OK);
    CHECK_HAS(log_text(), "settings: '");
    CHECK_HAS(log_text(), "settings: is written again\n");
    tear_down();
    disk_end();
}

TEST(faults, a_broken_disk_fails_every_change_of_the_transaction_and_the_next_begin_anew)
{
    answer a[5];

    disk_begin();
    set_up();
    open_store();
    for (int round = 0; round < 3; round++) {
        memset(a, 0, sizeof a);
        disk_set(&disk.settings, round % 2 ? DISK_FINE : DISK_BROKEN);
        for (int i = 0; i < 5; i++) {
            char id[8];
            snprintf(id, sizeof id, "%d", i);
            store_put(s, "stream", id, BYTES("{}"), (bytes){NULL, 0}, on_answer, &a[i]);
        }
        WAIT_FOR(a[4].came);
        for (int i = 0; i < 5; i++)
            CHECK_INT(a[i].code, round % 2 ? WEIR_OK : WEIR_SYSTEM);
        CHECK_INT(store_get_state(s, NULL), round % 2 ? STORE_OK : STORE_FAILED);
    }
    tear_down();
    disk_end();
}

TEST(faults, records_wait_for_a_full_disk_and_are_read_meanwhile)
{
    disk_begin();
    set_up();
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    add_numbers(btc, 1, 3);
    CHECK_INT(flush_store().code, WEIR_OK);
    disk_set(&disk.history, DISK_FULL);
    add_numbers(btc, 4, 3);
    answer a = flush_store();
    CHECK_INT(a.code, WEIR_SYSTEM);
    CHECK_HAS(a.error, "history.db': the disk is full");
    CHECK_INT(store_get_state(s, NULL), STORE_FULL);
    add_numbers(btc, 7, 2);
    CHECK_VALUES("1 2 3 4 5 6 7 8", false, .pattern = ">");
    CHECK_UINT(store_read_figures(s).waiting, 5);
    CHECK_INT(put("stream", "1", "{}", "").code, WEIR_OK); /* the settings' is not full */
    disk_set(&disk.history, DISK_FINE);
    WAIT_FOR(store_get_state(s, NULL) == STORE_OK && !store_read_figures(s).waiting);
    CHECK_UINT(store_read_figures(s).lost, 0);
    CHECK_VALUES("1 2 3 4 5 6 7 8", false, .pattern = ">");
    close_store();
    open_store();
    CHECK_VALUES("1 2 3 4 5 6 7 8", false, .pattern = ">");
    record_stream_unref(btc);
    tear_down();
    disk_end();
}

/* Every number from 1 to `last` of the stream is there, or a gap record in its place says that it is not. How many are not? */
static uint64_t lost_of(const char *topic, uint64_t last, bool some_lost)
{
    got g = ask(&(store_history_query){.topic = topic, .limit = 1000000});
    bytes rest = buf_bytes(&g.lines);
    uint64_t next = 1, gaps = 0, lost = 0;

    CHECK_INT(g.code, WEIR_OK);
    while (rest.len) {
        const char *end = memchr(rest.at, '\n', rest.len);
        json doc;
        uint64_t from = 0, to = 0, count = 0;
        CHECK_OK(json_read(&doc, bytes_make(rest.at, (size_t)(end - rest.at)), &err));
        if (json_is(json_member(doc, "kind"), "gap")) {
            CHECK(json_is(json_member(doc, "cause"), "slow_reader"));
            CHECK(json_text_u64(json_member(doc, "from_seq"), &from) && json_text_u64(json_member(doc, "to_seq"), &to) && json_u64(json_member(doc, "count"), &count));
            CHECK_UINT(from, next);
            CHECK_UINT(count, to - from + 1);
            next = to + 1;
            gaps++;
            lost += count;
        } else {
            CHECK(json_text_u64(json_member(doc, "seq"), &from));
            CHECK_UINT(from, next);
            next++;
        }
        rest.len -= (size_t)(end + 1 - rest.at);
        rest.at = end + 1;
    }
    CHECK_UINT(next, last + 1);
    CHECK_UINT(gaps, some_lost);
    buf_fini(&g.lines);
    return lost;
}

#define BTC "trades.woox.BTC"

static void check_account(void)
{
    store_figures f = store_read_figures(s);
    CHECK_UINT(f.added, f.written + f.lost + f.waiting);
}

TEST(faults, what_does_not_fit_is_counted_and_a_gap_stands_in_its_place)
{
    disk_begin();
    set_up();
    options.waiting_octets = 2 << 20;
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    add_numbers(btc, 1, 3000);
    CHECK_INT(flush_store().code, WEIR_OK);
    disk_set(&disk.history, DISK_FULL);
    add_numbers(btc, 3001, 1500);
    CHECK_INT(flush_store().code, WEIR_SYSTEM);
    for (uint64_t from = 4501; from < 24501; from += 1000) {
        add_numbers(btc, from, 1000);
        check_account();
    }
    CHECK(store_read_figures(s).lost > 5000);
    CHECK_UINT(lost_of(BTC, 24500, true), store_read_figures(s).lost); /* while it goes on */
    CHECK_VALUES("24500 24499", true, .pattern = ">", .newest_first = true, .limit = 2);
    disk_set(&disk.history, DISK_FINE);
    CHECK_INT(flush_store().code, WEIR_OK);
    CHECK_INT(flush_store().code, WEIR_OK);
    CHECK_UINT(store_read_figures(s).waiting, 0);
    check_account();
    CHECK_UINT(lost_of(BTC, 24500, true), store_read_figures(s).lost);
    CHECK_UINT(store_read_figures(s).gaps, 1);
    CHECK_HAS(log_text(), "records are given up");
    CHECK_HAS(log_text(), "a gap record stands in their place");
    uint64_t lost = store_read_figures(s).lost;
    close_store();
    open_store();
    CHECK_UINT(lost_of(BTC, 24500, true), lost);
    record_stream_unref(btc);
    tear_down();
    disk_end();
}

TEST(faults, each_stream_that_lost_some_has_its_gap_and_pages_go_over_it)
{
    record_stream *streams[40];
    char name[8], text[2][64];

    disk_begin();
    set_up();
    options.waiting_octets = 1 << 20;
    open_store();
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "S%d", i);
        streams[i] = stream_of("trades", name, 0);
    }
    disk_set(&disk.history, DISK_FULL);
    for (uint64_t i = 0; i < 10000; i++)
        add_numbers(streams[i % 40], i, 1);
    for (int round = 0; round < 2; round++) {
        store_history_query q = {.pattern = ">", .limit = 17, .newest_first = round, .kinds = 1 << RECORD_GAP};
        uint32_t gaps = 0;
        do {
            got g = ask(&q);
            CHECK_INT(g.code, WEIR_OK);
            gaps += g.count;
            q.cursor = g.cursor;
            snprintf(text[round], sizeof text[round], "%s", values(&g));
            buf_fini(&g.lines);
        } while (q.cursor);
        CHECK_UINT(gaps, 40);
    }
    disk_set(&disk.history, DISK_FINE);
    CHECK_INT(flush_store().code, WEIR_OK);
    got g = ask(&(store_history_query){.pattern = ">", .kinds = 1 << RECORD_GAP});
    CHECK_UINT(g.count, 40);
    buf_fini(&g.lines);
    check_account();
    uint64_t lost = 0;
    for (int i = 0; i < 40; i++) {
        lost += lost_of(record_stream_topic(streams[i]).at, 250, true);
        record_stream_unref(streams[i]);
    }
    CHECK_UINT(lost, store_read_figures(s).lost);
    tear_down();
    disk_end();
}

TEST(faults, a_store_that_closes_on_a_full_disk_says_what_it_could_not_write)
{
    disk_begin();
    set_up();
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    add_numbers(btc, 1, 3);
    CHECK_INT(flush_store().code, WEIR_OK);
    disk_set(&disk.history, DISK_FULL);
    add_numbers(btc, 4, 5);
    close_store();
    CHECK_HAS(log_text(), "history: 5 records could not be written before the end");
    disk_set(&disk.history, DISK_FINE);
    open_store();
    CHECK(!store_ended_well(s));
    CHECK_VALUES("1 2 3", false, .pattern = ">");
    record_stream_unref(btc);
    tear_down();
    disk_end();
}

/* The real thing: a file system of 3 MiB. */
TEST(faults, a_small_file_system_fills_and_is_freed)
{
    char data[1024];

    set_up();
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("weir-test", dir, "tmpfs", 0, "size=3m")) { /* gone with this process */
        tear_down();
        test_skip("no file system can be mounted here");
    }
    options.waiting_octets = 1 << 20;
    int fd = open(file("ballast"), O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0 && posix_fallocate(fd, 0, 2 << 20) == 0);
    close(fd);
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    memset(data, 'x', sizeof data);
    data[0] = data[1000] = '"';
    data[1001] = '\0';
    for (int i = 0; i < 3000; i++) {
        add(btc, 0, data);
        if (i % 100 == 99)
            loop_step(l, 20);
    }
    WAIT_FOR(store_get_state(s, NULL) == STORE_FULL);
    uint64_t before = store_read_figures(s).lost;
    CHECK(before > 0);
    CHECK(unlink(file("ballast")) == 0);
    WAIT_FOR(store_get_state(s, NULL) == STORE_OK && !store_read_figures(s).waiting);
    check_account();
    CHECK_UINT(lost_of(BTC, 3000, true), store_read_figures(s).lost);
    close_store();
    CHECK(umount2(dir, MNT_DETACH) == 0);
    record_stream_unref(btc);
    tear_down();
}

/* ---- Read-only ---- */

/* As somebody who may not write there. */
static int as_nobody(void (*what)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(9);
        what();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define MUST(condition)                                                                    \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, err.text); \
            _exit(1);                                                                      \
        }                                                                                  \
    } while (0)

static void read_only_store(void)
{
    loop *own;
    MUST(loop_new(&own, &err) == WEIR_OK);
    l = own;
    MUST(store_open(&s, l, &options, &err) == WEIR_OK);
    MUST(store_get_state(s, NULL) == STORE_READ_ONLY);
    MUST(strstr(why(), "may not be written"));
    answer a = put("stream", "2", "{}", "");
    MUST(a.code == WEIR_SYSTEM && strstr(a.error, "may not be written") && strstr(a.error, "the file and its folder must be writable"));
    record_stream *btc = stream_of("trades", "BTC", 0);
    add_numbers(btc, 4, 2);
    MUST(flush_store().code == WEIR_SYSTEM);
    got g = ask(&(store_history_query){.pattern = ">"});
    MUST(g.code == WEIR_OK && strcmp(values(&g), "1 2 3 4 5") == 0);
    MUST(store_read_figures(s).waiting == 2);
    store_close(s);
}

static void read_only_after(bool crash)
{
    set_up();
    chmod(dir, 0755);
    if (crash) { /* its WAL stays */
        int status;
        pid_t child = fork();
        if (!child) {
            MUST(store_open(&s, l, &options, &err) == WEIR_OK);
            record_stream *btc = stream_of("trades", "BTC", 0);
            add_numbers(btc, 1, 3);
            MUST(put("stream", "1", "{}", "").code == WEIR_OK && flush_store().code == WEIR_OK);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    } else {
        open_store();
        record_stream *btc = stream_of("trades", "BTC", 0);
        add_numbers(btc, 1, 3);
        CHECK_INT(put("stream", "1", "{}", "").code, WEIR_OK);
        CHECK_INT(flush_store().code, WEIR_OK);
        record_stream_unref(btc);
        close_store();
    }
    static const char *const names[] = {"settings.db", "settings.db-wal", "settings.db-shm", "history.db", "history.db-wal", "history.db-shm", "lock"};
    for (size_t i = 0; i < 7; i++)
        chmod(file(names[i]), 0444);
    chmod(file("modules"), 0555);
    chmod(dir, 0555);
    CHECK_INT(as_nobody(read_only_store), 0);
    chmod(dir, 0755);
    tear_down();
}

TEST(faults, a_read_only_folder_is_read_and_records_wait)
{
    read_only_after(false);
}

TEST(faults, a_read_only_folder_is_read_with_what_a_crash_left_in_the_wal)
{
    read_only_after(true);
}

/* ---- Damaged ---- */

static void spoil(const char *name, off_t at, const void *with, size_t len)
{
    int fd = open(file(name), O_WRONLY);
    CHECK(fd >= 0 && pwrite(fd, with, len, at) == (ssize_t)len);
    close(fd);
}

/* How many files have this in their names? */
static int count_files(const char *part)
{
    char command[256], text[16] = "";
    snprintf(command, sizeof command, "ls %s | grep -c '%s'", dir, part);
    FILE *f = popen(command, "r");
    CHECK(f && fgets(text, sizeof text, f));
    pclose(f);
    return atoi(text);
}

TEST(faults, a_damaged_history_is_moved_aside_and_begun_anew)
{
    set_up();
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    add_numbers(btc, 1, 3);
    close_store();
    spoil("history.db", 0, "this is no database, it is a poem", 33);
    open_store();
    CHECK_HAS(log_text(), "history.db': is damaged (file is not a database); it was moved to '");
    CHECK_HAS(log_text(), "and a fresh one is begun; what is whole in it comes out by: sqlite3 FILE .recover");
    CHECK_INT(count_files("^history.db.damaged-20[0-9TZ.]*$"), 1);
    CHECK_INT(store_get_state(s, NULL), STORE_OK);
    CHECK(!store_ended_well(s));
    add_numbers(btc, 4, 2);
    CHECK_VALUES("4 5", false, .pattern = ">");
    CHECK_INT(flush_store().code, WEIR_OK);
    CHECK_VALUES("4 5", false, .pattern = ">");
    record_stream_unref(btc);
    tear_down();
}

TEST(faults, damage_found_by_a_question_is_looked_at_and_moved_aside)
{
    char noise[8192];

    set_up();
    options.history_flush_ms = 600000;
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    for (int i = 0; i < 20; i++) {
        add_numbers(btc, 1 + 500 * (uint64_t)i, 500);
        CHECK_INT(flush_store().code, WEIR_OK);
    }
    close_store(); /* all of it in the file */
    open_store();
    memset(noise, 0xA5, sizeof noise);
    for (int page = 20; page < 60; page++)
        spoil("history.db", page * 8192, noise, sizeof noise);
    add_numbers(btc, 10001, 2); /* these are not lost with it */
    got g = ask(&(store_history_query){.pattern = ">"});
    CHECK(g.code != WEIR_OK);
    CHECK_HAS(g.error, "is damaged");
    buf_fini(&g.lines);
    CHECK_INT(flush_store().code, WEIR_OK);
    WAIT_FOR(strstr(log_text(), "it was moved to '"));
    CHECK_VALUES("10001 10002", false, .pattern = ">");
    add_numbers(btc, 10003, 2);
    CHECK_INT(flush_store().code, WEIR_OK);
    CHECK_VALUES("10001 10002 10003 10004", false, .pattern = ">");
    CHECK_INT(store_get_state(s, NULL), STORE_OK);
    close_store();
    open_store();
    CHECK_VALUES("10001 10002 10003 10004", false, .pattern = ">");
    CHECK_UINT(store_read_figures(s).history_records, 4);
    record_stream_unref(btc);
    tear_down();
}

TEST(faults, damaged_settings_are_refused_with_what_to_do)
{
    char noise[4096];

    set_up();
    open_store();
    for (int i = 0; i < 200; i++) {
        char id[8];
        snprintf(id, sizeof id, "%d", i);
        CHECK_INT(put("stream", id, "{\"text\":\"quite long, so that there are some pages of these, and then some\"}", "").code, WEIR_OK);
    }
    close_store();
    memset(noise, 0xA5, sizeof noise);
    spoil("settings.db", 5 * 4096, noise, sizeof noise);
    CHECK_INT(store_open(&s, l, &options, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "settings.db': is damaged");
    CHECK_HAS(err.text, "put a back-up in its place");
    spoil("settings.db", 0, noise, sizeof noise);
    CHECK_INT(store_open(&s, l, &options, &err), WEIR_INVALID);
    CHECK_HAS(err.text, "settings.db': is damaged; put a back-up in its place, or move it");
    CHECK_INT(count_files("damaged"), 0); /* nobody but the operator touches these */
    s = NULL;
    tear_down();
}

/* A file with some octets changed by chance: whatever comes of it, no crash, no hang, and the history works. */
TEST(faults, a_history_with_chance_damage_never_ends_the_store)
{
    test_keep_no_more_records(); /* what is damaged comes back damaged, here and there */
    const char *asked = getenv("WEIR_DAMAGES");
    int rounds = asked ? atoi(asked) : 40;
    rand_seeded chance = {.state = 4711};
    buf whole;

    set_up();
    options.history_flush_ms = 600000;
    open_store();
    record_stream *streams[3] = {stream_of("trades", "A", 0), stream_of("trades", "B", 0), stream_of("ohlcv", "C", 3)};
    for (int i = 0; i < 6; i++) {
        for (uint64_t k = 0; k < 300; k++)
            add_numbers(streams[k % 3], k, 1);
        CHECK_INT(flush_store().code, WEIR_OK);
    }
    close_store();
    buf_init(&whole, 64 << 20);
    CHECK_OK(file_read(&whole, file("history.db"), &err));
    for (int round = 0; round < rounds; round++) {
        CHECK_OK(file_replace(file("history.db"), buf_bytes(&whole), &err));
        unlink(file("history.db-wal"));
        unlink(file("history.db-shm"));
        uint64_t hits = 1 + rand_next(&chance) % 20;
        for (uint64_t i = 0; i < hits; i++) {
            uint64_t value = rand_next(&chance), at = rand_next(&chance) % (round % 3 ? whole.len - 8 : 4096);
            spoil("history.db", (off_t)at, &value, 1 + value % 8);
        }
        if (round % 5 == 4)
            CHECK(truncate(file("history.db"), (off_t)(rand_next(&chance) % whole.len)) == 0);
        weir_code code = store_open(&s, l, &options, &err);
        if (code == WEIR_UNSUPPORTED)
            continue; /* the damage made it another program's, or a newer one */
        CHECK_OK(code);
        for (int again = 0; again < 2; again++) {
            got g = ask(&(store_history_query){.pattern = ">", .newest_first = round % 2});
            buf_fini(&g.lines);
            add_numbers(streams[round % 3], 5, 2);
            flush_store();
        }
        CHECK_INT(flush_store().code, WEIR_OK);
        got g = ask(&(store_history_query){.topic = record_stream_topic(streams[round % 3]).at, .newest_first = true, .limit = 4});
        if (!g.code)
            CHECK_TEXT(values(&g), "6 5 6 5");
        buf_fini(&g.lines);
        close_store();
    }
    buf_fini(&whole);
    for (int i = 0; i < 3; i++)
        record_stream_unref(streams[i]);
    tear_down();
}

/* ---- Power ---- */

/* Opens what a disk has after the power went, had it kept nothing that it was not told to. */
static void check_after_power_loss(const char *synced, uint64_t want_last)
{
    store *other, *mine = s;
    store_options there = options;
    char command[256], copy[80];

    snprintf(copy, sizeof copy, "%s-copy", synced);
    snprintf(command, sizeof command, "rm -rf %s && cp -r %s %s", copy, synced, copy);
    CHECK(system(command) == 0);
    there.dir = copy;
    CHECK_OK(store_open(&other, l, &there, &err));
    s = other;
    got g = ask(&(store_history_query){.pattern = ">", .newest_first = true, .limit = 1});
    uint64_t last = g.count ? strtoull(values(&g), NULL, 10) : 0;
    CHECK(last >= want_last);
    buf_fini(&g.lines);
    db d;
    uint64_t things = 0;
    snprintf(command, sizeof command, "%s/settings.db", copy);
    CHECK_OK(db_open_reader(&d, command, &err));
    CHECK_OK(db_number(&d, "SELECT max(number) FROM thing", 0, &things, &err));
    db_close(&d);
    CHECK(things >= want_last);
    store_close(other);
    s = mine;
}

TEST(faults, what_was_acknowledged_survives_power_loss)
{
    char synced[96], command[256];

    disk_begin();
    set_up();
    snprintf(synced, sizeof synced, "%s-synced", dir);
    CHECK(mkdir(synced, 0700) == 0);
    disk.from = dir;
    disk.synced = synced;
    open_store();
    record_stream *btc = stream_of("trades", "BTC", 0);
    for (uint64_t i = 1; i <= 60; i++) {
        char id[8], json[64];
        snprintf(id, sizeof id, "%llu", (unsigned long long)i);
        snprintf(json, sizeof json, "{\"n\":%llu}", (unsigned long long)i);
        add_numbers(btc, i, 1);
        CHECK_INT(put("stream", id, json, "").code, WEIR_OK);
        CHECK_INT(flush_store().code, WEIR_OK);
        if (i % 10 == 1)
            check_after_power_loss(synced, i);
    }
    close_store();
    snprintf(command, sizeof command, "rm -rf %s %s-copy", synced, synced);
    CHECK(system(command) == 0);
    record_stream_unref(btc);
    tear_down();
    disk_end();
}
