/* Host names have one normal form (RFC 1035, RFC 1123), so that two spellings of a name
 * never differ in verdict. */
#include "support.h"

#include "core/name.h"

#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define N252 L63 "." L63 "." L63 "." "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefgh"
#define N253 N252 "i"

static const struct {
    const char *what;
    const char *text;
    size_t length;
    const char *normal; /* NULL: no host name */
} rows[] = {
    {"two labels", TEXT("api.test"), "api.test"},
    {"one label", TEXT("printer"), "printer"},
    {"upper case", TEXT("API.Anthropic.COM"), "api.anthropic.com"},
    {"the letters at both ends", TEXT("AZaz.test"), "azaz.test"},
    {"digits at both ends", TEXT("0a9.test"), "0a9.test"},
    {"a trailing dot", TEXT("api.test."), "api.test"},
    {"underscore and hyphen", TEXT("_dmarc.a-b.test"), "_dmarc.a-b.test"},
    {"an A-label", TEXT("XN--MNCHEN-3YA.test"), "xn--mnchen-3ya.test"},
    {"only digits", TEXT("127"), "127"},
    {"empty", TEXT(""), NULL},
    {"the root", TEXT("."), NULL},
    {"two trailing dots", TEXT("api.test.."), NULL},
    {"a leading dot", TEXT(".api.test"), NULL},
    {"an empty label", TEXT("api..test"), NULL},
    {"a space", TEXT("api test"), NULL},
    {"a leading space", TEXT(" api.test"), NULL},
    {"a NUL inside", TEXT("api.test\0.evil.test"), NULL},
    {"a NUL at the end", TEXT("api.test\0"), NULL},
    {"a newline", TEXT("api.test\n"), NULL},
    {"a colon", TEXT("api.test:443"), NULL},
    {"a slash", TEXT("api.test/"), NULL},
    {"a star", TEXT("*.api.test"), NULL},
    {"a percent sign", TEXT("fe80%eth0"), NULL},
    {"before A", TEXT("@.test"), NULL},
    {"behind Z", TEXT("[.test"), NULL},
    {"before a", TEXT("`.test"), NULL},
    {"behind z", TEXT("{.test"), NULL},
    {"a plus", TEXT("a+b.test"), NULL},
    {"UTF-8", TEXT("m\xc3\xbcnchen.test"), NULL},
    {"a full-width digit", TEXT("\xef\xbc\x91.test"), NULL},
    {"an ideographic full stop", TEXT("127\xe3\x80\x82" "1"), NULL},
    {"a byte 0x80", TEXT("\x80.test"), NULL},
    {"DEL", TEXT("a\x7f.test"), NULL},
    {"a label of 63", TEXT(L63 ".test"), L63 ".test"},
    {"a label of 64", TEXT(L63 "x.test"), NULL},
    {"a last label of 63", TEXT("test." L63), "test." L63},
    {"a last label of 64", TEXT("test." L63 "x"), NULL},
    {"252 bytes", TEXT(N252), N252},
    {"253 bytes", TEXT(N253), N253},
    {"253 bytes and a trailing dot", TEXT(N253 "."), N253},
    {"254 bytes", TEXT(N253 "j"), NULL},
    {"254 bytes and a trailing dot", TEXT(N253 "j."), NULL},
    {"255 bytes", TEXT(N253 ".a"), NULL},
    {"256 bytes", TEXT(N253 ".ab"), NULL},
};

static void every_name_has_one_normal_form(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        eg_name name;
        memset(&name, 'x', sizeof name);
        bool good = eg_name_normalise(fenced(rows[i].text, rows[i].length), rows[i].length, &name);
        ROW(good == (rows[i].normal != NULL), "%s: %s", rows[i].what, good ? "taken" : "refused");
        if (good && rows[i].normal != NULL) {
            ROW(strcmp(name.text, rows[i].normal) == 0, "%s: %s", rows[i].what, name.text);
            ROW(name.length == strlen(rows[i].normal), "%s: length %zu", rows[i].what, name.length);
            ROW(eg_name_equal(&name, rows[i].normal), "%s: not equal to itself", rows[i].what);
        } else if (!good) {
            ROW(name.length == 0 && name.text[0] == '\0', "%s: a refused name leaves something behind", rows[i].what);
        }
    }
    FINISH_ROWS();
}

static void normalising_a_normal_form_changes_nothing(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        eg_name once, twice;
        if (eg_name_normalise(rows[i].text, rows[i].length, &once)) {
            ROW(eg_name_normalise(once.text, once.length, &twice) && eg_name_equal(&twice, once.text), "%s",
                rows[i].what);
        }
    }
    FINISH_ROWS();
}

static void a_name_is_read_by_its_length_alone(void **unused)
{
    (void)unused;
    eg_name name;
    assert_true(eg_name_normalise("api.test.evil.test", 8, &name));
    assert_string_equal(name.text, "api.test");
}

static void equality_is_of_the_whole_name(void **unused)
{
    (void)unused;
    eg_name name = name_of("api.test");
    assert_true(eg_name_equal(&name, "api.test"));
    assert_false(eg_name_equal(&name, "api.tes"));
    assert_false(eg_name_equal(&name, "api.test.evil"));
    assert_false(eg_name_equal(&name, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_has_one_normal_form),
        cmocka_unit_test(normalising_a_normal_form_changes_nothing),
        cmocka_unit_test(a_name_is_read_by_its_length_alone),
        cmocka_unit_test(equality_is_of_the_whole_name),
    };
    return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
