/* Texts with secrets: first line a secret, the rest a text in which it must not be found again. */
#include <stdlib.h>

#include "plugin/mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes text = bytes_make((const char *)data, size);
    const char *line = size ? memchr(data, '\n', size) : NULL;
    size_t len = line ? (size_t)(line - text.at) : size;
    buf config, out;
    mask *m = NULL;
    buf_init(&config, 1 << 20);
    buf_init(&out, SIZE_MAX);
    buf_add_text(&config, "{\"secret\":");
    json_put_string(&config, bytes_make(text.at, len));
    buf_add_char(&config, '}');
    if (mask_new(&m, buf_bytes(&config), BYTES(""), NULL) == WEIR_OK) {
        bytes rest = bytes_make(text.at + len, size - len);
        mask_text(m, rest, &out);
        /* a secret of stars can be made of masks, and one with a NUL or of no UTF-8 is none */
        bool plain = len >= 4 && bytes_utf8(bytes_make(text.at, len)) && !memchr(text.at, '\0', len) && !memchr(text.at, '*', len);
        if (plain && out.len && memmem(out.at, out.len, text.at, len))
            abort();
    }
    mask_free(m);
    buf_fini(&config);
    buf_fini(&out);
    return 0;
}
