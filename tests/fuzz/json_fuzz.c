/* Any octets as JSON: whatever is taken must walk, compact and write back to
 * the same. */
#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool ok)
{
    if (!ok)
        abort();
}

/* Every getter on a value; what a string decodes to must be UTF-8 and survive
 * writing and reading. */
static void use(json value)
{
    bool yes;
    int64_t i;
    uint64_t u;
    double d;
    bytes slice;
    buf text, back, last;
    json again;
    json_bool(value, &yes);
    json_i64(value, &i);
    json_u64(value, &u);
    buf_init(&text, SIZE_MAX);
    buf_init(&back, SIZE_MAX);
    buf_init(&last, SIZE_MAX);
    if (json_f64(value, &d)) {
        double same;
        json_put_f64(&text, d);
        expect(json_read(&again, buf_bytes(&text), NULL) == WEIR_OK &&
               json_f64(again, &same) && same == d);
    } else if (json_string_add(value, &text)) {
        expect(bytes_utf8(buf_bytes(&text)));
        if (json_string_slice(value, &slice))
            expect(bytes_equal(slice, buf_bytes(&text)));
        json_put_string(&back, buf_bytes(&text));
        expect(json_read(&again, buf_bytes(&back), NULL) == WEIR_OK);
        expect(json_string_add(again, &last) &&
               bytes_equal(buf_bytes(&text), buf_bytes(&last)));
        free(json_string_dup(value));
    }
    buf_fini(&text);
    buf_fini(&back);
    buf_fini(&last);
}

/* Walks by iteration: depth is at most JSON_DEPTH, since the text was taken. */
static size_t walk(json value, unsigned depth)
{
    size_t count = 1;
    json key, item;
    expect(depth <= JSON_DEPTH);
    use(value);
    for (json_iter it = json_each(value); json_next(&it, &key, &item); count++) {
        json alone;
        expect(json_read(&alone, item.raw, NULL) == WEIR_OK &&
               alone.type == item.type && bytes_equal(alone.raw, item.raw));
        if (key.type)
            use(key);
        count += depth < 8 ? walk(item, depth + 1)
                           : 0; /* deeper ones were read above as they are */
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json doc, a, b, again;
    const json_field want[] = {{"a", &a}, {"topic", &b}};
    bytes text = bytes_make(data, size);
    bool taken = json_read(&doc, text, NULL) == WEIR_OK;
    bool fields = json_read_fields(text, want, 2, NULL) == WEIR_OK;
    expect(fields == (taken && doc.type == JSON_OBJECT));
    if (fields) {
        json member = json_member(doc, "a");
        expect(member.type == a.type && bytes_equal(member.raw, a.raw));
    }
    if (!taken)
        return 0;
    buf compact;
    buf_init(&compact, SIZE_MAX);
    json_put_compact(&compact, doc);
    expect(json_read(&again, buf_bytes(&compact), NULL) == WEIR_OK &&
           walk(doc, 0) == walk(again, 0));
    buf_fini(&compact);
    return 0;
}
