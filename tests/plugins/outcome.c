/* Every combination of result, output and error that a host has to tell apart. */
#include "weir_pdk.h"

WEIR_EXPORT(error_and_0)
{
    weir_output(weir_text("an output"));
    weir_error("an error, though 0 is returned");
    return 0;
}

WEIR_EXPORT(error_and_1)
{
    weir_error("a reason");
    return 1;
}

WEIR_EXPORT(document_and_1)
{
    return weir_refuse("a reason in the output");
}

WEIR_EXPORT(nothing_and_7)
{
    return 7;
}

/* The error is taken back. */
WEIR_EXPORT(cleared_and_0)
{
    weir_error("never mind");
    weir_env_error_set(0);
    weir_output(weir_text("fine"));
    return 0;
}

/* Octets that are no UTF-8 in both places. */
WEIR_EXPORT(bad_utf8)
{
    weir_output(weir_slice("\xff\xfe\xc0\x80", 4));
    weir_error("\xff\xfe");
    return 1;
}
