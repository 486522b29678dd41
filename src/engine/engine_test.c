#include "engine/engine.h"
#include "tests/lib/test.h"

static engine *make_engine(const engine_options *o)
{
    weir_error err = WEIR_ERROR_INIT;
    engine *e = NULL;
    CHECK_OK(engine_new(&e, o, &err));
    return e;
}

static module *compile(engine *e, const char *text)
{
    weir_error err = WEIR_ERROR_INIT;
    module *m = NULL;
    CHECK_OK(module_compile(&m, e, bytes_of(text), &err));
    return m;
}

static trap *host_add(void *env, void *guest, value *v)
{
    (void)env, (void)guest;
    v[0].i32 = v[0].i32 + v[1].i32;
    return NULL;
}
static instance *last;
static trap *host_park(void *env, void *guest, value *v)
{
    (void)env, (void)guest;
    v[0].i32 = 7;
    trap *t = instance_park(*(instance **)guest);
    (void)v;
    return t;
}
static void bind(void *arg, const module_extern *x, binding *out)
{
    (void)arg;
    if (bytes_is(x->name, "add"))
        *out = (binding){host_add, NULL, "i(ii)"};
    if (bytes_is(x->name, "park"))
        *out = (binding){host_park, NULL, "i()"};
}

TEST(engine, a_call_goes_into_the_guest_and_back)
{
    weir_error err = WEIR_ERROR_INIT;
    engine *e = make_engine(NULL);
    module *m = compile(e, "(module (import \"env\" \"add\" (func $a (param i32 i32) (result i32)))"
                           "(import \"env\" \"park\" (func $p (result i32)))"
                           "(memory (export \"memory\") 1)"
                           "(func (export \"f\") (param i32) (result i32) (call $a (local.get 0) (i32.const 2)))"
                           "(func (export \"g\") (result i32) (call $p))"
                           "(func $boom unreachable)"
                           "(func (export \"h\") (call $boom)))");
    linked *l = NULL;
    CHECK_OK(module_link(&l, m, bind, NULL, &err));
    instance *i = NULL;
    CHECK_OK(instance_new(&i, l, NULL, &last, &err));
    last = i;
    func f;
    CHECK(instance_func(i, "f", &f));
    CHECK_TEXT(f.type, "i(i)");
    value v[2] = {{.i32 = 40}};
    for (int k = 0; k < 3; k++) {
        v[0].i32 = 40;
        instance_call(i, &f, v);
        CHECK_INT(instance_resume(i), RUN_DONE);
        CHECK_INT(instance_outcome(i)->kind, OUTCOME_RETURNED);
        CHECK_INT(v[0].i32, 42);
    }
    CHECK(instance_func(i, "h", &f));
    instance_call(i, &f, v);
    CHECK_INT(instance_resume(i), RUN_DONE);
    CHECK_INT(instance_outcome(i)->kind, OUTCOME_TRAPPED);
    CHECK_TEXT(instance_outcome(i)->text, "unreachable executed");
    printf("%s", instance_outcome(i)->trace);
    CHECK(instance_func(i, "g", &f));
    instance_call(i, &f, v);
    CHECK_INT(instance_resume(i), RUN_PARKED);
    CHECK_INT(instance_resume(i), RUN_DONE);
    CHECK_INT(v[0].i32, 7);
    instance_call(i, &f, v);
    CHECK_INT(instance_resume(i), RUN_PARKED);
    instance_free(i);
    linked_free(l);
    module_unref(m);
    engine_free(e);
}
