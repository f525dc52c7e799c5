/* What every libFuzzer target needs. A target aborts where an invariant does not hold; what
 * the invariant is stands in the words of CHECK. */
#ifndef EG_TESTS_FUZZ_H
#define EG_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELPER __attribute__((unused)) static

/* What libFuzzer must not learn from: rules and tables would draw it to themselves, and cost most of the time. */
#define WITHOUT_COVERAGE _Pragma("clang attribute push(__attribute__((no_sanitize(\"coverage\"))), apply_to = function)")
#define WITH_COVERAGE _Pragma("clang attribute pop")

#define CHECK(condition, words)                                             \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, words); \
            abort();                                                        \
        }                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Text with its closing NUL; free it. */
HELPER char *text_of(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    CHECK(text != NULL, "memory for a test");
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

#endif
