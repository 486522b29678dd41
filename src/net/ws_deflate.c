/* permessage-deflate over zlib's raw streams (RFC 7692 section 7).
 *
 * Both states are made when the first compressed message needs them. A message is inflated piece by
 * piece into the caller's store, which never grows past the message ceiling: a bomb costs what a
 * message of that size costs, and no more.
 *
 * A window of 8 bits: zlib's raw deflate starts at 9, but never looks further back than its window less
 * 262 octets, which for 9 bits is 250: what it makes fits a reader with a window of 256. */
#include <zlib.h>

#include "net/ws_inside.h"

struct zip {
    z_stream in, out;
    bool in_made, out_made;
    bool in_fresh, out_fresh; /* nothing is carried from one message to the next */
    bool touched;             /* the message under way has had an octet */
    bool ended;               /* its last octet ended a final block */
    uint8_t in_bits, out_bits, level;
    size_t held; /* heap taken by zlib */
};

/* zlib's memory goes through here so that it is counted; the size lies in front of each block. */
static voidpf zip_alloc(voidpf arg, uInt items, uInt size)
{
    zip *z = arg;
    size_t len = (size_t)items * size + 16;
    char *at = malloc(len);
    if (!at)
        return Z_NULL;
    memcpy(at, &len, sizeof len);
    z->held += len;
    return at + 16;
}

static void zip_release(voidpf arg, voidpf p)
{
    zip *z = arg;
    char *at = (char *)p - 16;
    size_t len;
    memcpy(&len, at, sizeof len);
    z->held -= len;
    free(at);
}

zip *zip_new(const ws_options *o)
{
    zip *z = calloc(1, sizeof *z);
    if (!z)
        return NULL;
    const ws_deflate *d = &o->deflate;
    bool server = o->role == WS_SERVER;
    z->in_bits = server ? d->client_bits : d->server_bits;
    z->out_bits = server ? d->server_bits : d->client_bits;
    z->in_fresh = server ? d->client_fresh : d->server_fresh;
    z->out_fresh = server ? d->server_fresh : d->client_fresh;
    z->level = o->deflate_level ? o->deflate_level : 3;
    if (!z->in_bits)
        z->in_bits = 15;
    if (!z->out_bits)
        z->out_bits = 15;
    z->in.zalloc = z->out.zalloc = zip_alloc;
    z->in.zfree = z->out.zfree = zip_release;
    z->in.opaque = z->out.opaque = z;
    return z;
}

static void drop_in(zip *z)
{
    if (z->in_made)
        inflateEnd(&z->in);
    z->in_made = false;
}

static void drop_out(zip *z)
{
    if (z->out_made)
        deflateEnd(&z->out);
    z->out_made = false;
}

void zip_free(zip *z)
{
    if (!z)
        return;
    drop_in(z);
    drop_out(z);
    free(z);
}

void zip_trim(zip *z)
{
    if (z->in_fresh && !z->touched)
        drop_in(z);
    if (z->out_fresh)
        drop_out(z);
}

size_t zip_memory(const zip *z)
{
    return sizeof *z + z->held;
}

/* Runs all of `in` through the inflater. */
static unzip_code inflate_all(zip *z, const char *in, size_t len, store *out, size_t max)
{
    z_stream *s = &z->in;
    s->next_in = (Bytef *)(uintptr_t)in;
    s->avail_in = (uInt)len;
    do {
        size_t want = len * 4 < 1024 ? 1024 : len * 4;
        if (want > max - out->len + 1)
            want = max - out->len + 1;
        char *to = store_room(out, want);
        if (!to)
            return UNZIP_NOMEM;
        size_t room = out->cap - out->start - out->len;
        if (room > max - out->len + 1)
            room = max - out->len + 1;
        if (room > 1u << 30)
            room = 1u << 30;
        s->next_out = (Bytef *)to;
        s->avail_out = (uInt)room;
        int code = inflate(s, Z_SYNC_FLUSH);
        out->len += room - s->avail_out;
        if (out->len > max)
            return UNZIP_TOO_BIG;
        if (code == Z_STREAM_END) {
            inflateReset(s); /* after a final block the peer's compressor has begun anew */
            z->ended = s->avail_in == 0;
            if (z->ended)
                return UNZIP_OK;
        } else if (code == Z_MEM_ERROR) {
            return UNZIP_NOMEM;
        } else if (code != Z_OK && code != Z_BUF_ERROR) {
            return UNZIP_BAD;
        }
    } while (s->avail_in || !s->avail_out);
    return UNZIP_OK;
}

unzip_code unzip(zip *z, const char *in, size_t len, bool last, store *out, size_t max)
{
    if (!z->in_made) {
        if (inflateInit2(&z->in, -(int)z->in_bits) != Z_OK)
            return UNZIP_NOMEM;
        z->in_made = true;
    }
    unzip_code code = UNZIP_OK;
    while (len && code == UNZIP_OK) {
        size_t piece = len < 1u << 30 ? len : 1u << 30;
        z->touched = true;
        z->ended = false;
        code = inflate_all(z, in, piece, out, max);
        in += piece;
        len -= piece;
    }
    if (!last || code != UNZIP_OK)
        return code;
    if (z->touched && !z->ended) {
        code = inflate_all(z, "\0\0\xff\xff", 4, out, max);
        /* zlib says so: between two blocks (128), no bit of the last octet unused (0..7) */
        if (code == UNZIP_OK && (z->in.data_type & (128 | 63)) != 128)
            code = UNZIP_BAD;
    }
    z->touched = z->ended = false;
    if (z->in_fresh)
        inflateReset(&z->in);
    return code;
}

bool zip_message(zip *z, bytes message, store *out)
{
    z_stream *s = &z->out;
    if (!z->out_made) {
        int bits = z->out_bits < 9 ? 9 : z->out_bits;
        if (deflateInit2(s, z->level, Z_DEFLATED, -bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
            return false;
        z->out_made = true;
    }
    size_t before = out->len, left = message.len;
    const char *from = message.at;
    s->avail_in = 0;
    do {
        if (!s->avail_in && left) {
            uInt piece = left < 1u << 30 ? (uInt)left : 1u << 30;
            s->next_in = (Bytef *)(uintptr_t)from;
            s->avail_in = piece;
            from += piece;
            left -= piece;
        }
        char *to = store_room(out, s->avail_in / 2 + 128);
        if (!to) {
            out->len = before;
            deflateReset(s); /* the peer never sees it, so nothing may refer to it */
            return false;
        }
        size_t room = out->cap - out->start - out->len;
        if (room > 1u << 30)
            room = 1u << 30;
        s->next_out = (Bytef *)to;
        s->avail_out = (uInt)room;
        deflate(s, left ? Z_NO_FLUSH : Z_SYNC_FLUSH);
        out->len += room - s->avail_out;
    } while (left || s->avail_in || !s->avail_out);
    out->len -= 4;
    if (z->out_fresh)
        deflateReset(s);
    return true;
}
