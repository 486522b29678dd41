/* dialects.h: every dialect there is, as a table that tests walk. */
#ifndef TESTS_E2E_DIALECTS_H
#define TESTS_E2E_DIALECTS_H

typedef struct dialect_row {
    const char *guest, *generation;
    bool go;
    bool candles_only;
    const char *config; /* what a user would set */
} dialect_row;

#define KEYS "{\"api_key\":\"k\",\"api_secret\":\"s\"}"

static const dialect_row dialect_rows[] = {
    {"dialect_1.wasm", "1", false, false, KEYS},
    {"dialect_1_oldest.wasm", "1", false, true, KEYS},
    {"woox.wasm", "2", false, false, NULL},
    {"woox-portable.wasm", "2", false, false, KEYS},
    {"minimal-c.wasm", "2", false, true, NULL},
    {"dialect_3_text.wasm", "3", false, false, "{}"},
    {"dialect_3_base64.wasm", "3", false, false, "{\"depth\":20}"},
    {"dialect_1-go.wasm", "1", true, false, KEYS},
    {"dialect_1_oldest-go.wasm", "1", true, true, KEYS},
    {"woox-go.wasm", "2", true, false, NULL},
    {"woox-go-command.wasm", "2", true, false, KEYS},
    {"dialect_3_text-go.wasm", "3", true, false, "{}"},
    {"dialect_3_base64-go.wasm", "3", true, false, "{\"depth\":20}"},
};

#define DIALECT_ROWS (sizeof dialect_rows / sizeof *dialect_rows)

#endif
