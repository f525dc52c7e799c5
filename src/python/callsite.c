/* The call site of a violation, taken at the refusal: two prefixes compared for each frame,
 * no import, no path object. */
#include "python/callsite.h"

#include <string.h>

#include <frameobject.h>

#define FRAMES_MAX 64

/* Process-wide: all interpreters of a process share one standard library. */
static char standard_library[512];
static char own_package[512];

static int copy_folder(const char *module_name, char *out, size_t size)
{
    PyObject *module = NULL, *file = NULL;
    const char *text;
    int done = -1;

    module = PyImport_ImportModule(module_name);
    if (module == NULL) {
        return -1;
    }
    file = PyObject_GetAttrString(module, "__file__");
    if (file == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            goto done;
        }
        PyErr_Clear(); /* a frozen interpreter has no files: then no frame is left out */
        done = 0;
        goto done;
    }
    if (!PyUnicode_Check(file)) {
        done = 0;
        goto done;
    }
    text = PyUnicode_AsUTF8(file);
    if (text == NULL) {
        goto done;
    }
    const char *slash = strrchr(text, '/');
    if (slash != NULL && (size_t)(slash - text) + 2 < size) {
        memcpy(out, text, (size_t)(slash - text) + 1);
        out[slash - text + 1] = '\0';
    }
    done = 0;
done:
    Py_XDECREF(file);
    Py_DECREF(module);
    return done;
}

int eg_callsite_init(void)
{
    if (standard_library[0] != '\0') {
        return 0;
    }
    if (copy_folder("os", standard_library, sizeof standard_library) < 0) {
        return -1;
    }
    return copy_folder("egressguard", own_package, sizeof own_package);
}

static bool is_library(const char *file)
{
    size_t length = strlen(standard_library);

    if (strncmp(file, "<frozen ", 8) == 0) {
        return true;
    }
    if (own_package[0] != '\0' && strncmp(file, own_package, strlen(own_package)) == 0) {
        return true;
    }
    return length > 0 && strncmp(file, standard_library, length) == 0 &&
           strncmp(file + length, "site-packages/", 14) != 0 && strncmp(file + length, "dist-packages/", 14) != 0;
}

static bool is_package(const char *file)
{
    return strstr(file, "/site-packages/") != NULL || strstr(file, "/dist-packages/") != NULL;
}

/* Keep the end of a file name: that is where the names that tell are. */
static void keep_name(char *out, size_t size, const char *file)
{
    size_t length = strlen(file);
    if (length > size - 1) {
        file += length - (size - 1);
        length = size - 1;
    }
    memcpy(out, file, length);
    out[length] = '\0';
}

/* One frame, from the inside out. False where nothing further out is wanted. */
static bool take_frame(eg_violation *violation, const char *file, PyFrameObject *frame)
{
    if (is_library(file)) {
        return true;
    }
    bool package = is_package(file);
    if (violation->file[0] == '\0') {
        keep_name(violation->file, sizeof violation->file, file);
        violation->line = (int32_t)PyFrame_GetLineNumber(frame);
        if (!package) {
            return false;
        }
    }
    if (package) {
        keep_name(violation->library_file, sizeof violation->library_file, file);
        return true;
    }
    keep_name(violation->caller_file, sizeof violation->caller_file, file);
    violation->caller_line = (int32_t)PyFrame_GetLineNumber(frame);
    return false;
}

void eg_callsite_fill(eg_violation *violation)
{
    PyFrameObject *frame = PyEval_GetFrame(); /* borrowed */
    Py_XINCREF(frame);

    for (int depth = 0; frame != NULL && depth < FRAMES_MAX; depth++) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        const char *file = PyUnicode_AsUTF8(code->co_filename);
        if (file == NULL) {
            PyErr_Clear(); /* a file name with surrogates: the violation matters more than its site */
        }
        bool more = file == NULL || take_frame(violation, file, frame);
        Py_DECREF(code);
        if (!more) {
            break;
        }
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    if (violation->caller_file[0] == '\0') {
        violation->library_file[0] = '\0'; /* says nothing beyond the call site then */
    }
}
