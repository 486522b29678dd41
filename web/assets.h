/* assets.h: the web terminal, embedded: what scripts/build-web made of web/, as api.h wants it. */
#ifndef WEB_ASSETS_H
#define WEB_ASSETS_H

#include "api/api.h"

/* All files, by path; lent for ever. Without npm at build time it is one page that says how to get the others. */
const api_asset *web_assets(size_t *count);

#endif
