/* See channels.h. A channel is a number made of the places of its strings. */
#include "stream/channels.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define WORD_MAX 64 /* octets, its quotes included */
#define DEPTH_MAX 8

typedef struct word {
    char text[WORD_MAX];
    size_t len;
    bool answered;
} word;

typedef struct channel {
    uint64_t name;
    bool old, heir;
} channel;

struct channels {
    word *words;
    size_t word_count, word_room, count, late; /* `late`: the old one has them, the heir does not */
    size_t answered;                           /* words */
    channel all[CHANNELS_MAX];
};

/* A number ("id":"1") may stand anywhere in a frame, as a price. */
static bool names_something(bytes text)
{
    bool letter = false;
    for (size_t i = 0; i < text.len; i++)
        letter |= (text.at[i] | 0x20) >= 'a' && (text.at[i] | 0x20) <= 'z';
    return letter && text.len >= 2 && text.len <= WORD_MAX - 2;
}

/* False: out of memory. */
static bool add_word(channels *c, bytes text)
{
    if (!names_something(text) || c->word_count == CHANNELS_MAX)
        return true;
    for (size_t i = 0; i < c->word_count; i++)
        if (bytes_equal(bytes_make(c->words[i].text + 1, c->words[i].len - 2), text))
            return true;
    if (c->word_count == c->word_room) {
        size_t room = c->word_room ? 2 * c->word_room : 8;
        word *wider = realloc(c->words, room * sizeof *wider);
        if (!wider)
            return false;
        c->words = wider;
        c->word_room = room;
    }
    word *w = &c->words[c->word_count++];
    w->text[0] = '"';
    memcpy(w->text + 1, text.at, text.len);
    w->text[text.len + 1] = '"';
    w->answered = false;
    w->len = text.len + 2;
    return true;
}

static bool add_words(channels *c, json value, int depth)
{
    bytes text;
    json key, item;
    if (value.type == JSON_STRING)
        return !json_string_slice(value, &text) || add_word(c, text);
    if ((value.type != JSON_ARRAY && value.type != JSON_OBJECT) || depth == DEPTH_MAX)
        return true;
    for (json_iter it = json_each(value); json_next(&it, &key, &item);)
        if (!add_words(c, item, depth + 1))
            return false;
    return true;
}

channels *channels_new(const bytes *messages, size_t count)
{
    channels *c = calloc(1, sizeof *c);
    for (size_t i = 0; c && i < count; i++) {
        json value;
        if (json_read(&value, messages[i], NULL) || add_words(c, value, 0))
            continue;
        channels_free(c);
        return NULL;
    }
    return c;
}

void channels_free(channels *c)
{
    if (!c)
        return;
    free(c->words);
    free(c);
}

static uint64_t name_of(const channels *c, bytes text)
{
    uint64_t name = 0;
    size_t len = text.len < CHANNELS_OCTETS ? text.len : CHANNELS_OCTETS;
    for (size_t i = 0; i < c->word_count; i++)
        if (memmem(text.at, len, c->words[i].text, c->words[i].len))
            name = (name + i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return name;
}

static channel *channel_of(channels *c, bytes text)
{
    uint64_t name = name_of(c, text);
    for (size_t i = 0; i < c->count; i++)
        if (c->all[i].name == name)
            return &c->all[i];
    if (c->count == CHANNELS_MAX)
        return &c->all[CHANNELS_MAX - 1];
    c->all[c->count].name = name;
    return &c->all[c->count++];
}

void channels_old(channels *c, bytes text)
{
    channel *it = channel_of(c, text);
    c->late += !it->old && !it->heir;
    it->old = true;
}

static void answer(channels *c, bytes text)
{
    size_t len = text.len < CHANNELS_ANSWER ? text.len : CHANNELS_ANSWER;
    for (size_t i = 0; i < c->word_count; i++)
        if (!c->words[i].answered && memmem(text.at, len, c->words[i].text, c->words[i].len)) {
            c->words[i].answered = true;
            c->answered++;
        }
}

void channels_heir(channels *c, bytes text)
{
    if (c->answered < c->word_count)
        answer(c, text);
    channel *it = channel_of(c, text);
    c->late -= it->old && !it->heir;
    it->heir = true;
}

bool channels_joined(const channels *c)
{
    return c->late == 0;
}

bool channels_answered(const channels *c)
{
    return c->answered == c->word_count;
}
