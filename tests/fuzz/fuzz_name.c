/* Host names: one normal form, reached in one step, whatever the case and the last dot. */
#include "fuzz.h"

#include "core/name.h"

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    eg_name name, again;

    if (!eg_name_normalise((const char *)data, size, &name)) {
        CHECK(name.length == 0 && name.text[0] == '\0', "a refused name leaves nothing behind");
        return 0;
    }
    CHECK(name.length > 0 && name.length <= EG_NAME_MAX, "a name has 1 to 253 bytes");
    CHECK(name.length == size || name.length + 1 == size, "only a last dot is taken off");
    CHECK(strlen(name.text) == name.length, "a name holds no NUL and ends in one");
    CHECK(strspn(name.text, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == name.length, "a name is of these characters");
    CHECK(name.text[0] != '.' && name.text[name.length - 1] != '.' && strstr(name.text, "..") == NULL, "no label is empty");
    for (const char *label = name.text; label != NULL; label = strchr(label, '.') ? strchr(label, '.') + 1 : NULL) {
        CHECK(strcspn(label, ".") <= 63, "no label is longer than 63 bytes");
    }
    CHECK(eg_name_normalise(name.text, name.length, &again) && eg_name_equal(&again, name.text), "normalising twice is normalising once");

    char other[EG_NAME_MAX + 2];
    for (size_t i = 0; i < name.length; i++) {
        other[i] = upper(name.text[i]);
    }
    other[name.length] = '.';
    CHECK(eg_name_normalise(other, name.length + 1, &again) && eg_name_equal(&again, name.text),
          "case and a last dot make no difference");
    return 0;
}
