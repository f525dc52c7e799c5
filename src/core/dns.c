/* Reading DNS questions. What is allowed through is a whitelist of one shape: whatever
 * could carry more than the name of a listed host to the nameserver is refused. */
#include "core/dns.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define HEADER_SIZE 12u
#define TYPE_OPT 41u
#define CLASS_IN 1u
#define OPTION_NSID 3u   /* RFC 5001: empty in a query */
#define OPTION_COOKIE 10u /* RFC 7873: hop by hop, sent by c-ares and dig */

static uint16_t read_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* A name without compression: in the first question there is nothing to point at. */
static bool read_name(const uint8_t *message, size_t length, size_t *at, eg_name *out)
{
    char text[EG_NAME_MAX + 2];
    size_t used = 0;

    for (;;) {
        if (*at >= length) {
            return false;
        }
        size_t label = message[(*at)++];
        if (label == 0) {
            break;
        }
        if (label > 63 || label > length - *at || used + label + 1 > EG_NAME_MAX + 1) {
            return false;
        }
        if (used > 0) {
            text[used++] = '.';
        }
        /* A dot inside a label would read as two labels. */
        if (memchr(message + *at, '.', label) != NULL) {
            return false;
        }
        memcpy(text + used, message + *at, label);
        used += label;
        *at += label;
    }
    return eg_name_normalise(text, used, out);
}

static bool options_are_known(const uint8_t *at, size_t length)
{
    bool nsid_seen = false, cookie_seen = false;

    while (length >= 4) {
        size_t code = read_u16(at), size = read_u16(at + 2);
        if (size > length - 4) {
            return false;
        }
        if (code == OPTION_NSID && size == 0 && !nsid_seen) {
            nsid_seen = true;
        } else if (code == OPTION_COOKIE && (size == 8 || (size >= 16 && size <= 40)) && !cookie_seen) {
            cookie_seen = true;
        } else {
            return false;
        }
        at += 4 + size;
        length -= 4 + size;
    }
    return length == 0;
}

#ifdef __linux__
void eg_dns_uncut(void *at)
{
    enum { udp_segment = 103 }; /* linux/udp.h; an older kernel does not know it, and cuts nothing */
    struct cmsghdr header = {.cmsg_level = IPPROTO_UDP, .cmsg_type = udp_segment, .cmsg_len = CMSG_LEN(sizeof(uint16_t))};

    memset(at, 0, EG_UNCUT_SIZE);
    memcpy(at, &header, sizeof header);
}
#endif

bool eg_dns_read_query(const uint8_t *message, size_t length, eg_dns_question *out)
{
    size_t at = HEADER_SIZE;

    memset(out, 0, sizeof *out);
    if (length < HEADER_SIZE) {
        return false;
    }
    /* QR, opcode, AA, TC, RA, Z and rcode zero; RD, AD and CD as the asker likes. */
    if ((message[2] & 0xfe) != 0 || (message[3] & 0xcf) != 0) {
        return false;
    }
    unsigned additional = read_u16(message + 10);
    if (read_u16(message + 4) != 1 || read_u16(message + 6) != 0 || read_u16(message + 8) != 0 || additional > 1) {
        return false;
    }
    if (!read_name(message, length, &at, &out->name) || length - at < 4) {
        return false;
    }
    out->id = read_u16(message);
    out->type = read_u16(message + at);
    if (read_u16(message + at + 2) != CLASS_IN) {
        return false;
    }
    at += 4;
    out->end = at;
    if (additional == 1) {
        /* OPT (RFC 6891): root name, type, payload size, extended rcode and version and
         * flags (only DO may be set), length, options. */
        if (length - at < 11 || message[at] != 0 || read_u16(message + at + 1) != TYPE_OPT ||
            message[at + 5] != 0 || message[at + 6] != 0 || (message[at + 7] & 0x7f) != 0 || message[at + 8] != 0) {
            return false;
        }
        size_t size = read_u16(message + at + 9);
        at += 11;
        if (size != length - at || !options_are_known(message + at, size)) {
            return false;
        }
        at += size;
    }
    return at == length;
}

size_t eg_dns_make_query(const eg_name *name, uint16_t type, uint8_t *out)
{
    static const uint8_t header[HEADER_SIZE] = {0, 0, 0x01 /* RD */, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    size_t at = HEADER_SIZE;

    memcpy(out, header, sizeof header);
    for (const char *label = name->text; *label != '\0';) {
        size_t length = strcspn(label, ".");
        out[at++] = (uint8_t)length;
        memcpy(out + at, label, length);
        at += length;
        label += length + (label[length] == '.');
    }
    out[at++] = 0;
    out[at++] = (uint8_t)(type >> 8);
    out[at++] = (uint8_t)type;
    out[at++] = 0;
    out[at++] = CLASS_IN;
    return at;
}
