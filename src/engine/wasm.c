/* What a file is before the engine sees it: most failures are a wrong or a broken file, and the
 * engine's own words for those ("magic header not detected") help nobody.
 *
 * Only the outer shape is read: the header, then the list of sections (an id, a size, contents). */
#include <ctype.h>

#include "engine/inside.h"

#define SECTION_START 8
#define SECTION_CODE 10
#define SECTION_LAST 13

static const struct {
    const char *magic;
    size_t len;
    const char *what, *cure;
} others[] = {
    {"\177ELF", 4, "a native program or library (ELF)", "build it for wasm32-wasip1"},
    {"MZ", 2, "a Windows program", "build it for wasm32-wasip1"},
    {"\xcf\xfa\xed\xfe", 4, "a macOS program", "build it for wasm32-wasip1"},
    {"!<arch>\n", 8, "a static library", "link it to a module"},
    {"BC\xc0\xde", 4, "LLVM bitcode", "link it to a module with wasm-ld"},
    {"\x1f\x8b", 2, "compressed with gzip", "unpack it first"},
    {"\x28\xb5\x2f\xfd", 4, "compressed with zstd", "unpack it first"},
    {"\xfd"
     "7zXZ",
     5, "compressed with xz", "unpack it first"},
    {"PK\003\004", 4, "a zip archive", "unpack it first"},
    {"<!", 2, "a web page", "download the file itself"},
    {"<html", 5, "a web page", "download the file itself"},
    {"version https://git-lfs", 23, "a pointer of Git LFS", "fetch the file with 'git lfs pull'"},
    {"#!", 2, "a script", "build it to a module first"},
    {"{", 1, "JSON", "give the module, or name the file .json if it is a manifest"},
};

static weir_code not_wasm(bytes file, weir_error *err)
{
    for (size_t k = 0; k < sizeof others / sizeof *others; k++)
        if (bytes_starts(file, bytes_make(others[k].magic, others[k].len)))
            return error_set(err, WEIR_INVALID, "not a WebAssembly module but %s; %s", others[k].what, others[k].cure);
    size_t text = 0, looked = file.len < 512 ? file.len : 512;
    while (text < looked && (isprint((unsigned char)file.at[text]) || isspace((unsigned char)file.at[text])))
        text++;
    if (text == looked)
        return error_set(err, WEIR_INVALID, "not a WebAssembly module but text, starting with '%.*s'",
                         (int)(file.len < 20 ? file.len : 20), file.at);
    return error_set(err, WEIR_INVALID, "not a WebAssembly module: it starts with %02x %02x %02x %02x instead of 00 61 73 6d",
                     (unsigned char)file.at[0], file.len > 1 ? (unsigned char)file.at[1] : 0,
                     file.len > 2 ? (unsigned char)file.at[2] : 0, file.len > 3 ? (unsigned char)file.at[3] : 0);
}

/* An unsigned LEB128 number of at most 32 bits. False at the end of the octets or beyond 32 bits. */
static bool read_u32(bytes *rest, uint32_t *out)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 35 && rest->len; shift += 7) {
        uint8_t octet = (uint8_t)*rest->at++;
        rest->len--;
        number |= (uint64_t)(octet & 0x7f) << shift;
        if (!(octet & 0x80)) {
            *out = (uint32_t)number;
            return number <= UINT32_MAX;
        }
    }
    return false;
}

static weir_code check_header(bytes wasm, weir_error *err)
{
    static const char magic[4] = {0, 'a', 's', 'm'};
    if (!wasm.len)
        return error_set(err, WEIR_INVALID, "not a WebAssembly module: it is empty");
    if (memcmp(wasm.at, magic, wasm.len < 4 ? wasm.len : 4) != 0)
        return not_wasm(wasm, err);
    if (wasm.len < 8)
        return error_set(err, WEIR_INVALID, "truncated: the file ends in the header of a WebAssembly module, after %zu octets", wasm.len);
    const uint8_t *version = (const uint8_t *)wasm.at + 4;
    if (version[2] == 1 && version[3] == 0)
        return error_set(err, WEIR_INVALID, "this is a component, and Weir runs core modules; build for wasm32-wasip1 (not "
                                            "wasip2), or take the module out with 'wasm-tools component unbundle'");
    if (memcmp(version, "\1\0\0\0", 4) != 0)
        return error_set(err, WEIR_INVALID, "a WebAssembly file of version %u, layer %u, which is unknown; modules have version 1, layer 0",
                         version[0] | version[1] << 8, version[2] | version[3] << 8);
    return WEIR_OK;
}

weir_code wasm_check(bytes wasm, bool *has_start, weir_error *err)
{
    weir_code code = check_header(wasm, err);
    *has_start = false;
    if (code)
        return code;
    bytes rest = bytes_make(wasm.at + 8, wasm.len - 8);
    while (rest.len) {
        size_t at = (size_t)(rest.at - wasm.at);
        uint8_t id = (uint8_t)*rest.at;
        uint32_t size;
        rest.at++;
        rest.len--;
        if (id > SECTION_LAST)
            return error_set(err, WEIR_INVALID, "damaged: at octet %zu a section has the unknown id %u", at, id);
        if (!read_u32(&rest, &size)) {
            if (rest.len)
                return error_set(err, WEIR_INVALID, "damaged: at octet %zu the size of a section is no number", at);
            return error_set(err, WEIR_INVALID, "truncated: the file ends after %zu octets, inside the section that starts at %zu", wasm.len, at);
        }
        if (size > rest.len)
            return error_set(err, WEIR_INVALID, "truncated: the section at octet %zu needs %u octets and the file has %zu more", at, size, rest.len);
        *has_start |= id == SECTION_START;
        rest.at += size;
        rest.len -= size;
    }
    return WEIR_OK;
}

/* The code section: how many functions, and of each how long it is and that. */
static void measure_code(module_size *m, bytes rest)
{
    uint32_t count, size;
    m->code += rest.len;
    if (!read_u32(&rest, &count))
        return;
    m->functions = count;
    while (read_u32(&rest, &size) && size <= rest.len) {
        m->longest = size > m->longest ? size : m->longest;
        rest.at += size;
        rest.len -= size;
    }
}

module_size module_measure(bytes wasm)
{
    module_size m = {0};
    uint32_t size;
    bytes rest = bytes_make(wasm.at + (wasm.len < 8 ? wasm.len : 8), wasm.len < 8 ? 0 : wasm.len - 8);
    while (rest.len) {
        uint8_t id = (uint8_t)*rest.at;
        rest.at++;
        rest.len--;
        if (!read_u32(&rest, &size) || size > rest.len)
            break;
        if (id == SECTION_CODE)
            measure_code(&m, bytes_make(rest.at, size));
        rest.at += size;
        rest.len -= size;
    }
    return m;
}

bool wasm_is_text(bytes wasm)
{
    while (wasm.len && isspace((unsigned char)*wasm.at)) {
        wasm.at++;
        wasm.len--;
    }
    return bytes_starts(wasm, BYTES("(")) || bytes_starts(wasm, BYTES(";;"));
}
