/* Host names as the allowlist compares them. */
#ifndef EG_CORE_NAME_H
#define EG_CORE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define EG_NAME_MAX 253 /* RFC 1035, without the trailing dot */

typedef struct eg_name {
    size_t length;
    char text[EG_NAME_MAX + 3]; /* closing NUL, and room for the dot of the absolute form */
} eg_name;

/* Lower-case A-labels without the trailing dot. False where the text is no host name:
 * empty, too long, an empty or too long label (RFC 1035), or a character that is
 * neither letter, digit, hyphen nor underscore. */
bool eg_name_normalise(const char *text, size_t length, eg_name *out);

bool eg_name_equal(const eg_name *name, const char *text);

#endif
