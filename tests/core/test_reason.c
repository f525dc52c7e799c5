/* The words of verdicts and routes: all there, all different. */
#include "support.h"

#include "core/reason.h"

static void zero_is_a_refusal(void **unused)
{
    (void)unused;
    eg_reason unset = 0;
    assert_int_equal(unset, EG_REFUSED_INTERNAL);
    assert_int_not_equal(EG_ALLOWED, 0);
}

static void every_reason_has_a_word_and_a_text_of_its_own(void **unused)
{
    (void)unused;
    for (int i = 0; i < EG_REASON_COUNT; i++) {
        const char *word = eg_reason_word((eg_reason)i), *text = eg_reason_text((eg_reason)i);
        ROW(word != NULL && word[0] != '\0', "reason %d has no word", i);
        ROW(text != NULL && text[0] != '\0', "reason %d has no text", i);
        for (int j = 0; j < i; j++) {
            ROW(strcmp(word, eg_reason_word((eg_reason)j)) != 0, "%s twice", word);
            ROW(strcmp(text, eg_reason_text((eg_reason)j)) != 0, "%s twice", text);
        }
    }
    FINISH_ROWS();
    assert_string_equal(eg_reason_word(EG_ALLOWED), "allowed");
    assert_string_equal(eg_reason_word(EG_REFUSED_LOOPBACK), "loopback");
}

static void every_route_has_a_name_of_its_own(void **unused)
{
    (void)unused;
    for (int i = 0; i < EG_ROUTE_NAMES; i++) {
        const char *name = eg_route_name((eg_route)i);
        ROW(name != NULL && name[0] != '\0' && strcmp(name, "unknown") != 0, "route %d has no name", i);
        for (int j = 0; j < i; j++) {
            ROW(strcmp(name, eg_route_name((eg_route)j)) != 0, "%s twice", name);
        }
    }
    FINISH_ROWS();
    assert_string_equal(eg_route_name(EG_ROUTE_CONNECT), "connect");
    assert_string_equal(eg_route_name(EG_ROUTE_GETNAMEINFO), "getnameinfo");
}

static void what_is_out_of_range_is_a_refusal_too(void **unused)
{
    (void)unused;
    static const int outside[] = {EG_REASON_COUNT, EG_REASON_COUNT + 1, 65535, -1};
    for (size_t i = 0; i < COUNT_OF(outside); i++) {
        assert_string_equal(eg_reason_word((eg_reason)outside[i]), "internal");
        assert_string_equal(eg_reason_text((eg_reason)outside[i]), eg_reason_text(EG_REFUSED_INTERNAL));
        assert_string_equal(eg_route_name((eg_route)outside[i]), "unknown");
    }
    assert_string_equal(eg_route_name(EG_ROUTE_NAMES), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_is_a_refusal),
        cmocka_unit_test(every_reason_has_a_word_and_a_text_of_its_own),
        cmocka_unit_test(every_route_has_a_name_of_its_own),
        cmocka_unit_test(what_is_out_of_range_is_a_refusal_too),
    };
    return cmocka_run_group_tests_name("reason", tests, NULL, NULL);
}
