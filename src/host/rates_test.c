/* What the plugins' rate limits have left, on a clock of the test's own. */
#include "host/rates.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "tests/lib/test.h"

#define MAX_WAIT (60 * NS_PER_S)

static weir_error err;
static uint64_t now;
static limits declared;

static uint64_t fake_now(void)
{
    return now;
}

static void begin(const char *text)
{
    now = UINT64_C(1700000000) * NS_PER_S;
    clock_replace(fake_now, fake_now);
    limits_fini(&declared);
    CHECK_OK(limits_read(&declared, bytes_of(text), &err));
}

/* How long the command has to wait, in milliseconds; -1: longer than it may. */
static int64_t ask_of(rates *r, const char *plugin, const char *config, const char *command, const char *params)
{
    rates_asked asked = {plugin, config, bytes_of(command), {0}, 0};
    const limit *by;
    uint64_t wait;
    if (params)
        CHECK_OK(json_read(&asked.params, bytes_of(params), &err));
    err = (weir_error)WEIR_ERROR_INIT;
    if (rates_take(r, &declared, &asked, MAX_WAIT, &wait, &by, &err)) {
        CHECK_UINT(err.code, WEIR_LIMIT);
        return -1;
    }
    CHECK(!wait == !by);
    return (int64_t)((wait + NS_PER_MS - 1) / NS_PER_MS);
}

static int64_t ask(rates *r, const char *command)
{
    return ask_of(r, "p", NULL, command, NULL);
}

static void end(rates *r)
{
    rates_free(r);
    limits_fini(&declared);
    clock_replace(NULL, NULL);
}

TEST(rates, a_full_bucket_gives_its_burst_then_one_for_each_refill)
{
    begin("[{\"command\":\"a\",\"scope\":[\"ip\"],\"rps\":2,\"burst\":3,\"cost\":1}]");
    rates *r = rates_new(NULL);
    for (int i = 0; i < 3; i++)
        CHECK_INT(ask(r, "a"), 0);
    CHECK_INT(ask(r, "a"), 500);
    CHECK_INT(ask(r, "a"), 1000); /* in line behind it */
    now += 1500 * NS_PER_MS;
    CHECK_INT(ask(r, "a"), 0);
    CHECK_INT(ask(r, "a"), 500);
    now += 3600 * NS_PER_S; /* it holds no more than its burst */
    for (int i = 0; i < 3; i++)
        CHECK_INT(ask(r, "a"), 0);
    CHECK_INT(ask(r, "a"), 500);
    CHECK_INT(ask(r, "b"), 0); /* has no limit */
    end(r);
}

TEST(rates, once_a_minute_and_a_cost)
{
    begin("[{\"command\":\"a\",\"scope\":\"ip\",\"rps\":0.016666666666666666,\"burst\":1,\"cost\":0},"
          "{\"command\":\"*\",\"scope\":[\"ip\"],\"rps\":10,\"burst\":20,\"cost\":5}]");
    rates *r = rates_new(NULL);
    CHECK_INT(ask(r, "a"), 0);
    now += NS_PER_S;
    CHECK_INT(ask(r, "a"), 59000);
    CHECK_INT(ask(r, "a"), -1);
    CHECK_HAS(err.text, "(a: 1 a minute) allows it in 119.0 s, and 60.0 s is the longest to wait");
    CHECK_INT(ask(r, "a"), -1); /* what was refused took nothing */
    CHECK_HAS(err.text, "119.0 s");
    for (int i = 0; i < 4; i++)
        CHECK_INT(ask(r, i % 2 ? "b" : "c"), 0); /* they share the bucket of '*' */
    CHECK_INT(ask(r, "b"), 500);
    end(r);
}

TEST(rates, of_an_address_are_shared_and_of_a_key_are_not)
{
    begin("[{\"command\":\"a\",\"scope\":[\"ip\"],\"rps\":1,\"burst\":1},{\"command\":\"b\",\"scope\":[\"apikey\"],\"rps\":1,\"burst\":1},"
          "{\"command\":\"c\",\"scope\":[\"ip\",\"apikey\"],\"rps\":1,\"burst\":1},{\"command\":\"d\",\"scope\":[\"account\"],\"rps\":1,\"burst\":1}]");
    rates *r = rates_new(NULL);
    CHECK_INT(ask_of(r, "p", "{\"k\":\"1\"}", "a", NULL), 0);
    CHECK_INT(ask_of(r, "p", "{\"k\":\"2\"}", "a", NULL), 1000);
    CHECK_INT(ask_of(r, "q", "{\"k\":\"2\"}", "a", NULL), 0); /* another plugin */
    CHECK_INT(ask_of(r, "p", "{\"k\":\"1\"}", "b", NULL), 0);
    CHECK_INT(ask_of(r, "p", "{\"k\":\"2\"}", "b", NULL), 0);
    CHECK_INT(ask_of(r, "p", "{\"k\":\"1\"}", "b", NULL), 1000);
    CHECK_INT(ask_of(r, "p", "{\"k\":\"1\"}", "c", NULL), 0);
    CHECK_INT(ask_of(r, "p", "{\"k\":\"2\"}", "c", NULL), 1000); /* of the two, the one that holds longer */
    CHECK_INT(ask_of(r, "p", NULL, "d", "{\"account\":\"x\"}"), 0);
    CHECK_INT(ask_of(r, "p", NULL, "d", "{\"market\":{\"account\":\"y\"}}"), 0);
    CHECK_INT(ask_of(r, "p", "{\"account\":\"x\"}", "d", NULL), 1000);
    CHECK_INT(ask_of(r, "p", "{\"account\":\"x\"}", "d", "{\"account\":\"z\"}"), 0);
    CHECK_INT(ask_of(r, "p", NULL, "d", "{}"), 0);
    CHECK_INT(ask_of(r, "p", NULL, "d", NULL), 1000);
    end(r);
}

TEST(rates, go_on_in_the_next_run_and_in_other_processes)
{
    char folder[] = "/tmp/weir-rates-XXXXXX";
    CHECK(mkdtemp(folder) != NULL);
    begin("[{\"command\":\"a\",\"rps\":0.1,\"burst\":2}]");
    rates *r = rates_new(folder), *other = rates_new(folder);
    CHECK_INT(ask(r, "a"), 0);
    CHECK_INT(ask(other, "a"), 0);
    CHECK_INT(ask(r, "a"), 10000);
    rates_free(r);
    r = rates_new(folder);
    now += 5 * NS_PER_S;
    CHECK_INT(ask(r, "a"), 15000);
    now -= 86400 * NS_PER_S; /* the clock goes back a day: empty, but no longer than that */
    CHECK_INT(ask(r, "a"), 10000);
    rates_free(other);
    end(r);
}

TEST(rates, a_file_that_makes_no_sense_or_cannot_be_written_is_none)
{
    char folder[] = "/tmp/weir-rates-XXXXXX", command[200];
    CHECK(mkdtemp(folder) != NULL);
    begin("[{\"command\":\"a\",\"rps\":0.1,\"burst\":1}]");
    rates *r = rates_new(folder);
    CHECK_INT(ask(r, "a"), 0);
    snprintf(command, sizeof command, "for f in %s/rates/*; do printf 'x\\n%%064d 5x\\n%%064d 99999999999999999999\\n%%064d' 1 2 3 > $f; done", folder);
    CHECK_INT(system(command), 0);
    CHECK_INT(ask(r, "a"), 10000); /* this process still knows */
    rates_free(r);
    snprintf(command, sizeof command, "rm -r %s/rates && echo > %s/rates", folder, folder);
    CHECK_INT(system(command), 0);
    r = rates_new(folder);
    CHECK_INT(ask(r, "a"), 0);
    CHECK_INT(ask(r, "a"), 10000);
    end(r);
}

/* The lock's holder may be about to let go, or be stopped for good: nothing here waits for either. */
TEST(rates, say_that_another_process_counts_and_do_without_it_in_the_end)
{
    char folder[] = "/tmp/weir-rates-XXXXXX", path[200];
    const limit *by;
    uint64_t wait;
    CHECK(mkdtemp(folder) != NULL);
    begin("[{\"command\":\"a\",\"rps\":0.1,\"burst\":1}]");
    rates *r = rates_new(folder);
    rates_asked asked = {"p", NULL, BYTES("a"), {0}, 0};
    CHECK_OK(rates_take(r, &declared, &asked, MAX_WAIT, &wait, &by, &err));
    CHECK_UINT(wait, 0);
    char name[DIGEST_HEX];
    digest_sha256(name, BYTES("p"));
    snprintf(path, sizeof path, "%s/rates/%s", folder, name);
    int other = open(path, O_RDWR); /* another open file: another holder */
    CHECK(other >= 0 && flock(other, LOCK_EX) == 0);
    for (; asked.tries < 20; asked.tries++)
        CHECK_UINT(rates_take(r, &declared, &asked, MAX_WAIT, &wait, &by, &err), WEIR_BUSY);
    CHECK_OK(rates_take(r, &declared, &asked, MAX_WAIT, &wait, &by, &err));
    CHECK_UINT(wait, 10 * NS_PER_S); /* those that were told busy have taken nothing */
    asked.tries = 0;
    CHECK_UINT(rates_take(r, &declared, &asked, MAX_WAIT, &wait, &by, &err), WEIR_BUSY);
    close(other);
    CHECK_OK(rates_take(r, &declared, &asked, MAX_WAIT, &wait, &by, &err));
    CHECK_UINT(wait, 20 * NS_PER_S);
    end(r);
}

TEST(rates, survive_any_failed_allocation)
{
    begin("[{\"command\":\"a\",\"rps\":0.1,\"burst\":1,\"scope\":[\"ip\",\"apikey\"]}]");
    FAULT_SWEEP(alloc) {
        rates *r = rates_new("");
        const limit *by;
        uint64_t wait;
        rates_asked asked = {"p", NULL, BYTES("a"), {0}, 0};
        err = (weir_error)WEIR_ERROR_INIT;
        if (r && rates_take(r, &declared, &asked, MAX_WAIT, &wait, &by, &err))
            CHECK_UINT(err.code, WEIR_NOMEM);
        rates_free(r);
    }
    end(NULL);
}
