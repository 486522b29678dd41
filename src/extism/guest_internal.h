/* guest_internal.h: what the files of this folder share about a guest beyond guest.h. */
#ifndef EXTISM_GUEST_INTERNAL_H
#define EXTISM_GUEST_INTERNAL_H

#include "extism/guest.h"
#include "extism/vars.h"
#include "extism/wasi.h"

#define GUEST_FUNCS 8 /* exports remembered by name */
#define GUEST_NAME 64 /* of the export that is called, in texts */
#define GUEST_WHY 1024
#define GUEST_STEPS 3 /* two initialisers at most, then the export */

typedef enum export_fit {
    EXPORT_UNKNOWN,
    EXPORT_FITS,
    EXPORT_MISSING,
    EXPORT_ODD_RESULT, /* runs, but what it returns is no code */
    EXPORT_PARAMETERS,
    EXPORT_RESULTS, /* more than one */
} export_fit;

/* An export looked up once. */
typedef struct guest_func {
    func f;
    export_fit fit;
} guest_func;

typedef struct guest_step_info {
    const char *init; /* name of the initialiser; NULL: the export itself */
    func f;
} guest_step_info;

/* Texts about a call that went wrong; most guests never have one. */
typedef struct guest_words {
    char why[GUEST_WHY], cancel[256];
} guest_words;

typedef enum guest_phase { GUEST_IDLE,
                           GUEST_CALLING,
                           GUEST_OVER } guest_phase;

/* A guest and its private half. */
typedef struct guest_core {
    guest pub;
    guest_func funcs[GUEST_FUNCS];
    uint32_t func_next; /* overwritten when all are taken */

    guest_phase phase;
    bool as_extism;
    bool entered;  /* instance_call was made and its outcome is not taken yet */
    bool stepping; /* inside instance_resume */
    guest_step_info steps[GUEST_STEPS];
    uint32_t step_count, step_now;
    export_fit fit;
    char call_name[GUEST_NAME];
    buf input; /* waits here while the runtime is initialised */
    value values[2];

    weir_code cancel_code;
    const char *cancel_text;
    call_result result;
    guest_words *words; /* NULL until something goes wrong */

    bool http_busy;
    buf http_text; /* the request's strings, decoded */
    buf http_body;
} guest_core;

static inline guest_core *guest_core_of(guest *g)
{
    return (guest_core *)g;
}

/* As guest_reply, for what Extism itself answers: the block is the guest's until it frees it. */
trap *guest_answer(guest *g, bytes text, value *v);

/* Tables of imports: a name, a type, a function. */
typedef struct import_entry {
    const char *name;
    const char *type;
    host_fn fn;
    direct_fn direct; /* or NULL */
} import_entry;

extern const import_entry imports_table[];
extern const size_t imports_count;
extern const import_entry blocks_table[];
extern const size_t blocks_count;
extern const import_entry wasi_table[];
extern const size_t wasi_count;

/* Extism's http_request (imports_http.c). */
trap *import_http_request(void *env, void *self, value *v);

/* An argument: 0 is the empty text, anything else must be a block; `what` names it in the trap. */
trap *import_fetch(guest *g, uint64_t offset, const char *what, bytes *out);

#endif
