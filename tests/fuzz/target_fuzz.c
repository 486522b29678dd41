/* URLs, patterns and override rules from anywhere. A URL's one spelling must be a fixed point, and
 * what a list allows must lie on its host. */
#include "net/target.h"
#include "net/target_url.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void spelling_is_stable(bytes text)
{
    url u, again;
    buf first, second;
    if (url_read(&u, text, NULL))
        return;
    buf_init(&first, 8 * URL_MAX);
    buf_init(&second, 8 * URL_MAX);
    url_put(&u, &first);
    if (first.len <= URL_MAX / 2) {
        weir_code code = url_read(&again, buf_bytes(&first), NULL);
        assert(code == WEIR_OK);
        url_put(&again, &second);
        assert(first.len == second.len && memcmp(first.at, second.at, first.len) == 0);
        url_fini(&again);
    }
    buf_fini(&first);
    buf_fini(&second);
    url_fini(&u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes text = bytes_make(data, size);
    weir_error err = WEIR_ERROR_INIT;
    spelling_is_stable(text);
    targets *t = targets_new();
    targets_add(t, BYTES("https://a.example/v1/*"), &err);
    url u;
    if (targets_check(t, text, &err) == WEIR_OK && url_read(&u, text, NULL) == WEIR_OK) {
        assert(strcmp(u.host, "a.example") == 0 && u.port == 443 && u.tls && !u.websocket);
        assert(u.path.len >= 3 && memcmp(u.path.at, "/v1", 3) == 0);
        url_fini(&u);
    }
    targets_add(t, text, &err);
    targets_override(t, text, &err);
    targets_free(t);
    return 0;
}
