/* Messages to and from nameservers: read within bounds; what passes as a question holds one
 * question and nothing that could carry more. */
#include "fuzz.h"

#include "core/dns_answer.h"

static void check_question(const uint8_t *data, size_t size)
{
    eg_dns_question question;
    eg_dns_answer answer;
    eg_name name;
    uint8_t refusal[EG_DNS_QUERY_MAX];

    if (!eg_dns_read_query(data, size, &question)) {
        return;
    }
    CHECK(size <= EG_DNS_QUERY_MAX, "a question is not longer than the room for it");
    CHECK((data[2] & 0xfe) == 0 && (data[3] & 0xcf) == 0, "no flag that a question has not");
    CHECK(data[4] == 0 && data[5] == 1 && data[6] == 0 && data[7] == 0 && data[8] == 0 && data[9] == 0, "one question alone");
    CHECK(eg_name_normalise(question.name.text, question.name.length, &name) && eg_name_equal(&name, question.name.text),
          "the name is in its normal form");
    CHECK(question.end == 12 + question.name.length + 2 + 4, "the question ends where its name says");
    CHECK(data[question.end - 2] == 0 && data[question.end - 1] == 1, "class IN");
    /* Header, question, OPT without options, and at most NSID and one cookie. */
    CHECK(size <= question.end + 11 + 4 + 4 + 40, "nothing carries more than the options that are known");
    for (int code = 0; code < 16; code++) {
        size_t length = eg_dns_make_refusal(data, &question, (unsigned)code, refusal);
        CHECK(length == question.end && length <= sizeof refusal, "a refusal is as long as the question");
        CHECK(eg_dns_read_answer(refusal, length, &question, &answer) && answer.count == 0, "a refusal is an answer without addresses");
    }
}

static bool holds(const uint8_t *data, size_t size, const uint8_t *part, size_t length)
{
    for (size_t at = 0; at + length <= size; at++) {
        if (memcmp(data + at, part, length) == 0) {
            return true;
        }
    }
    return false;
}

static void check_answer(const uint8_t *data, size_t size)
{
    eg_dns_question asked = {.type = EG_DNS_TYPE_A};
    eg_dns_answer answer;

    if (size < 2 || !eg_name_normalise("api.test", 8, &asked.name)) {
        return;
    }
    asked.id = (uint16_t)(data[0] << 8 | data[1]);
    for (int type = 0; type < 2; type++, asked.type = EG_DNS_TYPE_AAAA) {
        if (!eg_dns_read_answer(data, size, &asked, &answer)) {
            continue;
        }
        CHECK(answer.count <= EG_DNS_ADDRESSES_MAX, "not more addresses than there is room for");
        CHECK(!answer.truncated || answer.count == 0, "a truncated answer gives none");
        for (size_t i = 0; i < answer.count; i++) {
            const uint8_t *bytes = answer.addresses[i].bytes;
            CHECK(holds(data, size, bytes, 16) || (eg_address_is_ipv4(&answer.addresses[i]) && holds(data, size, bytes + 12, 4)),
                  "every address stands in the message");
        }
    }
}

static void check_reverse(const uint8_t *data, size_t size)
{
    eg_name name;
    eg_address address;
    if (eg_name_normalise((const char *)data, size, &name) && eg_dns_reverse_address(&name, &address)) {
        CHECK(strstr(name.text, ".arpa") != NULL, "a reverse name stands below arpa");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_question(data, size);
    check_answer(data, size);
    check_reverse(data, size);
    return 0;
}
