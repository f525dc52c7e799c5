/* Host names: one normal form, so that two spellings of a name never differ in verdict. */
#include "core/name.h"

#include <string.h>

static bool normalise(const char *text, size_t length, eg_name *out)
{
    size_t label = 0;

    if (length > 0 && text[length - 1] == '.') {
        length--;
    }
    if (length == 0 || length > EG_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
        } else {
            if (c >= 'A' && c <= 'Z') {
                c = (char)(c - 'A' + 'a');
            } else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) {
                return false;
            }
            if (++label > 63) {
                return false;
            }
        }
        out->text[i] = c;
    }
    if (label == 0) {
        return false;
    }
    out->text[length] = '\0';
    out->length = length;
    return true;
}

bool eg_name_normalise(const char *text, size_t length, eg_name *out)
{
    out->length = 0;
    if (normalise(text, length, out)) {
        return true;
    }
    out->text[0] = '\0'; /* a refused name leaves nothing behind */
    return false;
}

bool eg_name_equal(const eg_name *name, const char *text)
{
    return strcmp(name->text, text) == 0;
}
