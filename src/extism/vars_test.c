/* Variables: what stays, what counts, what is refused. */
#include "extism/vars.h"

#include "tests/lib/test.h"

#define ERR weir_error err = WEIR_ERROR_INIT

TEST(vars, a_value_is_a_copy_and_stays_until_replaced_or_removed)
{
    ERR;
    vars *v = vars_new(1000);
    char octets[] = "one\0two";
    CHECK_OK(vars_set(v, BYTES("a"), bytes_make(octets, 7), &err));
    octets[0] = 'X';
    CHECK_BYTES(vars_get(v, BYTES("a")), bytes_make("one\0two", 7));
    CHECK_OK(vars_set(v, BYTES("a"), BYTES("new"), &err));
    CHECK_BYTES(vars_get(v, BYTES("a")), BYTES("new"));
    CHECK_OK(vars_remove(v, BYTES("a"), &err));
    CHECK_OK(vars_remove(v, BYTES("a"), &err));
    CHECK_UINT(vars_get(v, BYTES("a")).len, 0);
    CHECK_UINT(vars_used(v), 0);
    vars_free(v);
}

TEST(vars, an_empty_name_is_a_name)
{
    ERR;
    vars *v = vars_new(1000);
    CHECK_OK(vars_remove(v, BYTES(""), &err));
    CHECK_OK(vars_set(v, BYTES(""), BYTES("x"), &err));
    CHECK_BYTES(vars_get(v, BYTES("")), BYTES("x"));
    vars_free(v);
}

TEST(vars, name_value_and_48_octets_count_and_the_old_entry_still_does)
{
    ERR;
    vars *v = vars_new(2 * (48 + 1 + 10));
    CHECK_OK(vars_set(v, BYTES("a"), BYTES("0123456789"), &err));
    CHECK_OK(vars_set(v, BYTES("a"), BYTES("0123456789"), &err));
    CHECK_UINT(vars_used(v), 59);
    CHECK_OK(vars_set(v, BYTES("b"), BYTES("0123456789"), &err));
    CHECK_INT(vars_set(v, BYTES("a"), BYTES("0"), &err), WEIR_LIMIT);
    CHECK_HAS(err.text, "Variable store is full");
    CHECK_BYTES(vars_get(v, BYTES("a")), BYTES("0123456789"));
    vars_free(v);
}

TEST(vars, one_octet_over_the_limit_is_refused)
{
    ERR;
    vars *v = vars_new(48 + 1 + 10);
    CHECK_INT(vars_set(v, BYTES("a"), BYTES("0123456789A"), &err), WEIR_LIMIT);
    CHECK_OK(vars_set(v, BYTES("a"), BYTES("0123456789"), &err));
    vars_free(v);
}

TEST(vars, a_limit_of_zero_turns_them_off)
{
    ERR;
    vars *v = vars_new(0);
    CHECK_INT(vars_set(v, BYTES("a"), BYTES("b"), &err), WEIR_REFUSED);
    CHECK_TEXT(err.text, "Vars are disabled by this host");
    CHECK_INT(vars_remove(v, BYTES("a"), &err), WEIR_REFUSED);
    CHECK_UINT(vars_get(v, BYTES("a")).len, 0);
    vars_free(v);
}

TEST(vars, any_failed_allocation_is_an_error_and_nothing_leaks)
{
    FAULT_SWEEP(alloc) {
        ERR;
        vars *v = vars_new(1000);
        if (v && vars_set(v, BYTES("a"), BYTES("b"), &err))
            CHECK_INT(err.code, WEIR_NOMEM);
        if (v && vars_set(v, BYTES("a"), BYTES("c"), &err))
            CHECK_INT(err.code, WEIR_NOMEM);
        vars_free(v);
    }
}
