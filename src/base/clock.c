/* Clocks and RFC 3339.
 *
 * Times are written with every message, so the calendar is integer arithmetic
 * on days counted from 1 March of the year 0 (a year then ends with its leap
 * day), and digits are placed by hand. */
#include "base/clock.h"

#include <time.h>

static uint64_t (*replaced_real)(void), (*replaced_mono)(void);

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_real(void)
{
    uint64_t (*f)(void) = __atomic_load_n(&replaced_real, __ATOMIC_RELAXED);
    return f ? f() : read_clock(CLOCK_REALTIME);
}

uint64_t clock_mono(void)
{
    uint64_t (*f)(void) = __atomic_load_n(&replaced_mono, __ATOMIC_RELAXED);
    return f ? f() : read_clock(CLOCK_MONOTONIC);
}

void clock_replace(uint64_t (*real)(void), uint64_t (*mono)(void))
{
    __atomic_store_n(&replaced_real, real, __ATOMIC_RELAXED);
    __atomic_store_n(&replaced_mono, mono, __ATOMIC_RELAXED);
}

#define DAYS_TO_1970 719468u /* from 1 March of the year 0 */
#define DAYS_IN_ERA 146097u  /* 400 years */

typedef struct date {
    uint32_t year, month, day;
} date;

static date date_of(uint32_t days_since_1970)
{
    uint32_t days = days_since_1970 + DAYS_TO_1970;
    uint32_t era = days / DAYS_IN_ERA, in_era = days % DAYS_IN_ERA;
    uint32_t year =
        (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    uint32_t in_year = in_era - (365 * year + year / 4 - year / 100);
    uint32_t month = (5 * in_year + 2) / 153; /* 0 is March */
    uint32_t day = in_year - (153 * month + 2) / 5 + 1;
    return (date){era * 400 + year + (month >= 10),
                  month < 10 ? month + 3 : month - 9, day};
}

static uint32_t days_of(date d)
{
    uint32_t year = d.year - (d.month <= 2),
             month = d.month > 2 ? d.month - 3 : d.month + 9;
    uint32_t in_era = year % 400;
    return year / 400 * DAYS_IN_ERA + in_era * 365 + in_era / 4 - in_era / 100 +
           (153 * month + 2) / 5 + d.day - 1 - DAYS_TO_1970;
}

static char *put2(char *to, uint32_t value)
{
    to[0] = (char)('0' + value / 10);
    to[1] = (char)('0' + value % 10);
    return to + 2;
}

static char *put_char(char *to, char c)
{
    *to = c;
    return to + 1;
}

void clock_rfc3339(char out[CLOCK_RFC3339_SIZE], uint64_t real_ns, int digits)
{
    uint64_t seconds = real_ns / NS_PER_S;
    uint32_t fraction = (uint32_t)(real_ns % NS_PER_S),
             in_day = (uint32_t)(seconds % 86400);
    date d = date_of((uint32_t)(seconds / 86400));
    char *p = put2(put2(out, d.year / 100), d.year % 100);
    p = put2(put_char(p, '-'), d.month);
    p = put2(put_char(p, '-'), d.day);
    p = put2(put_char(p, 'T'), in_day / 3600);
    p = put2(put_char(p, ':'), in_day / 60 % 60);
    p = put2(put_char(p, ':'), in_day % 60);
    if (digits > 9)
        digits = 9;
    if (digits > 0) {
        p = put_char(p, '.');
        for (int i = digits; i < 9; i++)
            fraction /= 10;
        for (int i = digits; i-- > 0; fraction /= 10)
            p[i] = (char)('0' + fraction % 10);
        p += digits;
    }
    put_char(put_char(p, 'Z'), '\0');
}

/* Reads `count` digits; false if there are fewer. */
static bool take_number(bytes *text, size_t count, uint32_t *out)
{
    if (text->len < count)
        return false;
    *out = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned char)text->at[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        *out = *out * 10 + digit;
    }
    *text = (bytes){text->at + count, text->len - count};
    return true;
}

/* Takes one of the characters in `set`; '\0' if the text goes on otherwise. */
static char take_char(bytes *text, const char *set)
{
    if (text->len == 0 || text->at[0] == '\0' || !strchr(set, text->at[0]))
        return '\0';
    char c = text->at[0];
    *text = (bytes){text->at + 1, text->len - 1};
    return c;
}

/* ".187" and the like, in nanoseconds; digits past the ninth are dropped.
 * Nothing is 0. */
static bool take_fraction(bytes *text, uint32_t *ns)
{
    *ns = 0;
    if (!take_char(text, "."))
        return true;
    uint32_t unit = 100000000, digit;
    if (!take_number(text, 1, &digit))
        return false;
    do {
        *ns += digit * unit;
        unit /= 10;
    } while (take_number(text, 1, &digit));
    return true;
}

/* "Z" or "+02:00", in seconds east of UTC. */
static bool take_zone(bytes *text, int64_t *east)
{
    uint32_t hours, minutes;
    *east = 0;
    if (take_char(text, "Zz"))
        return true;
    char sign = take_char(text, "+-");
    if (!sign || !take_number(text, 2, &hours) || !take_char(text, ":") ||
        !take_number(text, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *east = (int64_t)(hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
    return true;
}

static bool date_exists(date d)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30,
                                      31, 31, 30, 31, 30, 31};
    if (d.month < 1 || d.month > 12 || d.day < 1)
        return false;
    bool leap = d.year % 4 == 0 && (d.year % 100 != 0 || d.year % 400 == 0);
    return d.day <= lengths[d.month - 1] + (d.month == 2 && leap ? 1u : 0u);
}

/* Two digits; more than 99 where one is none. */
static inline uint32_t two(const char *at)
{
    uint32_t tens = (unsigned char)at[0] - (unsigned)'0', ones = (unsigned char)at[1] - (unsigned)'0';
    return tens > 9 || ones > 9 ? 100 : tens * 10 + ones;
}

/* The usual: "2026-11-23T07:44:42.187Z" from 1971 to 2261, without a leap second. False: another form, or none. */
static bool parse_usual(const char *at, uint64_t *real_ns)
{
    uint32_t century = two(at), year = two(at + 2), hour = two(at + 11), minute = two(at + 14), second = two(at + 17), tenths = two(at + 20);
    uint32_t last = (unsigned char)at[22] - (unsigned)'0';
    date d = {century * 100 + year, two(at + 5), two(at + 8)};
    if (at[4] != '-' || at[7] != '-' || at[10] != 'T' || at[13] != ':' || at[16] != ':' || at[19] != '.' || at[23] != 'Z' || year > 99 ||
        d.year < 1971 || d.year > 2261 || !date_exists(d) || hour > 23 || minute > 59 || second > 59 || tenths > 99 || last > 9)
        return false;
    uint64_t seconds = (uint64_t)days_of(d) * 86400 + hour * 3600 + minute * 60 + second;
    *real_ns = seconds * NS_PER_S + (tenths * 10 + last) * NS_PER_MS;
    return true;
}

bool clock_parse(bytes text, uint64_t *real_ns)
{
    date d;
    uint32_t hour, minute, second, fraction;
    int64_t east;
    if (text.len == 24 && parse_usual(text.at, real_ns))
        return true;
    if (!take_number(&text, 4, &d.year) || !take_char(&text, "-") ||
        !take_number(&text, 2, &d.month) || !take_char(&text, "-") ||
        !take_number(&text, 2, &d.day) || !take_char(&text, "Tt ") ||
        !take_number(&text, 2, &hour) || !take_char(&text, ":") ||
        !take_number(&text, 2, &minute) || !take_char(&text, ":") ||
        !take_number(&text, 2, &second) || !take_fraction(&text, &fraction) ||
        !take_zone(&text, &east) || text.len)
        return false;
    if (d.year < 1969 || d.year > 2262 || !date_exists(d) || hour > 23 ||
        minute > 59 || second > 60)
        return false; /* 60 is a leap second and runs into the next minute */
    int64_t seconds = (int64_t)(int32_t)days_of(d) * 86400 + hour * 3600 +
                      minute * 60 + second - east;
    const int64_t end = INT64_C(9214646400); /* 2262-01-01 */
    if (seconds < 0 || seconds >= end)
        return false;
    *real_ns = (uint64_t)seconds * NS_PER_S + fraction;
    return true;
}
