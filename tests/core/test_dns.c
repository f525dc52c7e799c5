/* What may be sent to a nameserver: exactly one standard question, and nothing else that
 * could carry data (RFC 1035, RFC 6891). */
#include "support.h"

#include "core/dns.h"

#define ID "\x12\x34"
#define HEADER ID "\x01\x00" "\x00\x01\x00\x00\x00\x00\x00\x00"
#define HEADER_OPT ID "\x01\x00" "\x00\x01\x00\x00\x00\x00\x00\x01"
#define NAME "\x03" "api\x04" "test\x00"
#define IN_A "\x00\x01\x00\x01"
#define QUESTION NAME IN_A
/* root name, type 41, payload 1232, extended rcode, version, flags; then the length. */
#define OPT "\x00\x00\x29\x04\xd0\x00\x00\x00\x00"
#define COOKIE8 "\x00\x0a\x00\x08" "12345678"
#define COOKIE16 "\x00\x0a\x00\x10" "1234567812345678"
#define COOKIE40 "\x00\x0a\x00\x28" "1234567812345678123456781234567812345678"

#define L63 "\x3f" "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define L61 "\x3d" "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi"

static const struct {
    const char *what;
    const char *message;
    size_t length;
    const char *name;
    uint16_t type;
} good[] = {
    {"a question", TEXT(HEADER QUESTION), "api.test", EG_DNS_TYPE_A},
    {"without RD", TEXT(ID "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION), "api.test", EG_DNS_TYPE_A},
    {"with AD", TEXT(ID "\x01\x20\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION), "api.test", EG_DNS_TYPE_A},
    {"with CD", TEXT(ID "\x01\x10\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION), "api.test", EG_DNS_TYPE_A},
    {"type AAAA", TEXT(HEADER NAME "\x00\x1c\x00\x01"), "api.test", EG_DNS_TYPE_AAAA},
    {"type HTTPS", TEXT(HEADER NAME "\x00\x41\x00\x01"), "api.test", 65},
    {"a type of two bytes", TEXT(HEADER NAME "\x01\x02\x00\x01"), "api.test", 0x0102},
    {"upper case", TEXT(HEADER "\x03" "API\x04" "Test\x00" IN_A), "api.test", EG_DNS_TYPE_A},
    {"one label", TEXT(HEADER "\x03" "api\x00" IN_A), "api", EG_DNS_TYPE_A},
    {"a label of 63", TEXT(HEADER L63 "\x00" IN_A), L63 + 1, EG_DNS_TYPE_A},
    {"an underscore", TEXT(HEADER "\x04" "_tcp\x01" "a\x00" IN_A), "_tcp.a", EG_DNS_TYPE_A},
    {"OPT without options", TEXT(HEADER_OPT QUESTION OPT "\x00\x00"), "api.test", EG_DNS_TYPE_A},
    {"OPT with DO", TEXT(HEADER_OPT QUESTION "\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00"), "api.test", EG_DNS_TYPE_A},
    {"OPT with NSID", TEXT(HEADER_OPT QUESTION OPT "\x00\x04\x00\x03\x00\x00"), "api.test", EG_DNS_TYPE_A},
    {"OPT with a client cookie", TEXT(HEADER_OPT QUESTION OPT "\x00\x0c" COOKIE8), "api.test", EG_DNS_TYPE_A},
    {"OPT with a server cookie", TEXT(HEADER_OPT QUESTION OPT "\x00\x14" COOKIE16), "api.test", EG_DNS_TYPE_A},
    {"OPT with a long server cookie", TEXT(HEADER_OPT QUESTION OPT "\x00\x2c" COOKIE40), "api.test", EG_DNS_TYPE_A},
    {"OPT with both", TEXT(HEADER_OPT QUESTION OPT "\x00\x10\x00\x03\x00\x00" COOKIE8), "api.test", EG_DNS_TYPE_A},
};

static void one_standard_question_is_read(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        eg_dns_question question;
        bool read = eg_dns_read_query(fenced(good[i].message, good[i].length), good[i].length, &question);
        ROW(read, "%s is not read", good[i].what);
        if (read) {
            ROW(strcmp(question.name.text, good[i].name) == 0, "%s: name %s", good[i].what, question.name.text);
            ROW(question.type == good[i].type, "%s: type %u", good[i].what, question.type);
            ROW(question.id == 0x1234, "%s: id %x", good[i].what, question.id);
        }
    }
    FINISH_ROWS();
}

static void the_end_of_the_question_is_told(void **unused)
{
    (void)unused;
    eg_dns_question question;
    static const char plain[] = HEADER QUESTION, with_opt[] = HEADER_OPT QUESTION OPT "\x00\x00";
    assert_true(eg_dns_read_query((const uint8_t *)plain, sizeof plain - 1, &question));
    assert_int_equal(question.end, sizeof plain - 1);
    assert_true(eg_dns_read_query((const uint8_t *)with_opt, sizeof with_opt - 1, &question));
    assert_int_equal(question.end, sizeof plain - 1);
}

static const struct {
    const char *what;
    const char *message;
    size_t length;
} bad[] = {
    {"empty", TEXT("")},
    {"a header alone", TEXT(HEADER)},
    {"a byte behind the question", TEXT(HEADER QUESTION "\x00")},
    {"a second question that is not announced", TEXT(HEADER QUESTION QUESTION)},
    {"two questions", TEXT(ID "\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00" QUESTION QUESTION)},
    {"no question", TEXT(ID "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")},
    {"no question, but one behind it", TEXT(ID "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"256 questions", TEXT(ID "\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"257 questions", TEXT(ID "\x01\x00\x01\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"an answer announced", TEXT(ID "\x01\x00\x00\x01\x00\x01\x00\x00\x00\x00" QUESTION)},
    {"256 answers announced", TEXT(ID "\x01\x00\x00\x01\x01\x00\x00\x00\x00\x00" QUESTION)},
    {"an authority announced", TEXT(ID "\x01\x00\x00\x01\x00\x00\x00\x01\x00\x00" QUESTION)},
    {"256 authorities announced", TEXT(ID "\x01\x00\x00\x01\x00\x00\x01\x00\x00\x00" QUESTION)},
    {"a response", TEXT(ID "\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"opcode STATUS", TEXT(ID "\x11\x00\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"opcode NOTIFY", TEXT(ID "\x21\x00\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"opcode UPDATE", TEXT(ID "\x29\x00\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"opcode 1", TEXT(ID "\x09\x00\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"opcode 8", TEXT(ID "\x41\x00\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"AA", TEXT(ID "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"TC", TEXT(ID "\x03\x00\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"RA", TEXT(ID "\x01\x80\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"Z", TEXT(ID "\x01\x40\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"rcode 1", TEXT(ID "\x01\x01\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"rcode 2", TEXT(ID "\x01\x02\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"rcode 4", TEXT(ID "\x01\x04\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"rcode 8", TEXT(ID "\x01\x08\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION)},
    {"class CH", TEXT(HEADER NAME "\x00\x01\x00\x03")},
    {"class ANY", TEXT(HEADER NAME "\x00\x01\x00\xff")},
    {"class 0", TEXT(HEADER NAME "\x00\x01\x00\x00")},
    {"class 257", TEXT(HEADER NAME "\x00\x01\x01\x01")},
    {"mDNS unicast bit", TEXT(HEADER NAME "\x00\x01\x80\x01")},
    {"the root", TEXT(HEADER "\x00" IN_A)},
    {"a compression pointer", TEXT(HEADER "\xc0\x0c" IN_A)},
    {"a compression pointer to the header", TEXT(HEADER "\xc0\x00" IN_A)},
    {"a compression pointer behind a label", TEXT(HEADER "\x03" "api\xc0\x0c" IN_A)},
    {"an extended label", TEXT(HEADER "\x41" "a\x00" IN_A)},
    {"a reserved label", TEXT(HEADER "\x81" "a\x00" IN_A)},
    {"a label of 64", TEXT(HEADER "\x40" "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl" "\x00" IN_A)},
    {"a dot inside a label", TEXT(HEADER "\x08" "api.test\x00" IN_A)},
    {"a dot as a label", TEXT(HEADER "\x01" "." "\x00" IN_A)},
    {"a dot, and a type where its label goes on", TEXT(HEADER "\x04" ".\x00\x00\x01")},
    {"a label of 64, and a type where it begins", TEXT(HEADER "\x40\x00\x01\x00\x01")},
    {"a dot at the end of a label", TEXT(HEADER "\x03" "api\x05" "test." "\x00" IN_A)},
    {"a NUL inside a label", TEXT(HEADER "\x03" "a\x00i\x04" "test\x00" IN_A)},
    {"a space inside a label", TEXT(HEADER "\x03" "a i\x04" "test\x00" IN_A)},
    {"a byte that is no letter", TEXT(HEADER "\x03" "a\xe9i\x04" "test\x00" IN_A)},
    {"a star", TEXT(HEADER "\x01" "*\x04" "test\x00" IN_A)},
    {"a label behind the end", TEXT(HEADER "\x3f" "api")},
    {"a label that ends with the message", TEXT(HEADER "\x03" "api")},
    {"a name longer than 253", TEXT(HEADER L63 L63 L63 L63 "\x00" IN_A)},
    {"254 bytes of name", TEXT(HEADER L63 L63 L63 "\x3e" "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghij" "\x00" IN_A)},
    {"an OPT that is not announced", TEXT(HEADER QUESTION OPT "\x00\x00")},
    {"an OPT that is not there", TEXT(HEADER_OPT QUESTION)},
    {"two OPT announced", TEXT(ID "\x01\x00\x00\x01\x00\x00\x00\x00\x00\x02" QUESTION OPT "\x00\x00" OPT "\x00\x00")},
    {"256 records announced", TEXT(ID "\x01\x00\x00\x01\x00\x00\x00\x00\x01\x00" QUESTION OPT "\x00\x00")},
    {"257 records announced", TEXT(ID "\x01\x00\x00\x01\x00\x00\x00\x00\x01\x01" QUESTION OPT "\x00\x00")},
    {"a second OPT that is not announced", TEXT(HEADER_OPT QUESTION OPT "\x00\x00" OPT "\x00\x00")},
    {"a byte behind the OPT", TEXT(HEADER_OPT QUESTION OPT "\x00\x00" "\x00")},
    {"TSIG instead", TEXT(HEADER_OPT QUESTION "\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00")},
    {"type 0x0129 instead", TEXT(HEADER_OPT QUESTION "\x00\x01\x29\x04\xd0\x00\x00\x00\x00\x00\x00")},
    {"an OPT with a name", TEXT(HEADER_OPT QUESTION "\x01" "a\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00")},
    {"an OPT with another owner", TEXT(HEADER_OPT QUESTION "\xc0\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00")},
    {"extended rcode", TEXT(HEADER_OPT QUESTION "\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x00")},
    {"EDNS version 1", TEXT(HEADER_OPT QUESTION "\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x00")},
    {"an EDNS flag in the high byte", TEXT(HEADER_OPT QUESTION "\x00\x00\x29\x04\xd0\x00\x00\x40\x00\x00\x00")},
    {"an EDNS flag in the low byte", TEXT(HEADER_OPT QUESTION "\x00\x00\x29\x04\xd0\x00\x00\x00\x01\x00\x00")},
    {"options shorter than announced", TEXT(HEADER_OPT QUESTION OPT "\x00\x0c\x00\x0a\x00\x08" "1234567")},
    {"options longer than announced", TEXT(HEADER_OPT QUESTION OPT "\x00\x0b" COOKIE8)},
    {"an option longer than the options", TEXT(HEADER_OPT QUESTION OPT "\x00\x04\x00\x0a\x00\x08")},
    {"half an option header", TEXT(HEADER_OPT QUESTION OPT "\x00\x03\x00\x03\x00")},
    {"a known option and half a header", TEXT(HEADER_OPT QUESTION OPT "\x00\x07\x00\x03\x00\x00\x00\x03\x00")},
    {"client subnet", TEXT(HEADER_OPT QUESTION OPT "\x00\x0b\x00\x08\x00\x07\x00\x01\x18\x00\x0a\x01\x02")},
    {"padding", TEXT(HEADER_OPT QUESTION OPT "\x00\x08\x00\x0c\x00\x04" "data")},
    {"an option for local use", TEXT(HEADER_OPT QUESTION OPT "\x00\x08\xfd\xe9\x00\x04" "data")},
    {"option 0x010a", TEXT(HEADER_OPT QUESTION OPT "\x00\x0c\x01\x0a\x00\x08" "12345678")},
    {"NSID with data", TEXT(HEADER_OPT QUESTION OPT "\x00\x08\x00\x03\x00\x04" "data")},
    {"an empty cookie", TEXT(HEADER_OPT QUESTION OPT "\x00\x04\x00\x0a\x00\x00")},
    {"a cookie of 7", TEXT(HEADER_OPT QUESTION OPT "\x00\x0b\x00\x0a\x00\x07" "1234567")},
    {"a cookie of 9", TEXT(HEADER_OPT QUESTION OPT "\x00\x0d\x00\x0a\x00\x09" "123456789")},
    {"a cookie of 15", TEXT(HEADER_OPT QUESTION OPT "\x00\x13\x00\x0a\x00\x0f" "123456781234567")},
    {"a cookie of 41", TEXT(HEADER_OPT QUESTION OPT "\x00\x2d\x00\x0a\x00\x29" "12345678123456781234567812345678123456789")},
    {"two cookies", TEXT(HEADER_OPT QUESTION OPT "\x00\x18" COOKIE8 COOKIE8)},
    {"two NSID", TEXT(HEADER_OPT QUESTION OPT "\x00\x08\x00\x03\x00\x00\x00\x03\x00\x00")},
};

static void anything_else_is_refused(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        eg_dns_question question;
        const uint8_t *copy = fenced(bad[i].message, bad[i].length);
        ROW(!eg_dns_read_query(copy, bad[i].length, &question), "%s is read", bad[i].what);
    }
    FINISH_ROWS();
}

static void a_message_that_ends_early_is_refused(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        for (size_t length = 0; length < good[i].length; length++) {
            eg_dns_question question;
            const uint8_t *copy = fenced(good[i].message, length);
            ROW(!eg_dns_read_query(copy, length, &question), "%s, cut to %zu bytes, is read", good[i].what, length);
        }
    }
    FINISH_ROWS();
}

static void a_name_of_253_bytes_is_read(void **unused)
{
    (void)unused;
    static const char message[] = HEADER L63 L63 L63 L61 "\x00" IN_A;
    eg_dns_question question;
    assert_true(eg_dns_read_query((const uint8_t *)message, sizeof message - 1, &question));
    assert_int_equal(question.name.length, EG_NAME_MAX);
}

static void a_question_that_was_written_is_read(void **unused)
{
    static const char *const names[] = {"a", "api.test", "one.two.three.four.test"};
    (void)unused;
    for (size_t i = 0; i <= COUNT_OF(names); i++) {
        uint8_t message[EG_DNS_QUESTION_MAX];
        eg_dns_question question;
        eg_name name = {0};
        if (i < COUNT_OF(names)) {
            name = name_of(names[i]);
        } else { /* the longest */
            static const char longest[] = HEADER L63 L63 L63 L61 "\x00" IN_A;
            assert_true(eg_dns_read_query((const uint8_t *)longest, sizeof longest - 1, &question));
            name = question.name;
        }
        size_t length = eg_dns_make_query(&name, EG_DNS_TYPE_AAAA, message);
        assert_int_equal(length, 12 + name.length + 2 + 4);
        assert_true(eg_dns_read_query(message, length, &question));
        assert_string_equal(question.name.text, name.text);
        assert_int_equal(question.type, EG_DNS_TYPE_AAAA);
        assert_int_equal(question.id, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_standard_question_is_read),
        cmocka_unit_test(the_end_of_the_question_is_told),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(a_message_that_ends_early_is_refused),
        cmocka_unit_test(a_name_of_253_bytes_is_read),
        cmocka_unit_test(a_question_that_was_written_is_read),
    };
    return cmocka_run_group_tests_name("dns", tests, NULL, NULL);
}
