/* Facts about this machine, straight from the kernel and from /etc. */
#include "core/machine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#endif

#include "core/hash.h"

/* ---- own addresses ---- */

#ifdef __linux__
typedef struct route_question {
    struct nlmsghdr header;
    struct rtmsg route;
    struct rtattr attribute;
    uint8_t address[16];
} route_question;

/* One RTM_GETROUTE (rtnetlink(7)): the kernel's own answer covers addresses of every
 * interface, local routes, and the network namespace of the calling thread. */
static eg_locality ask_route(const eg_address *address)
{
    bool ipv4 = eg_address_is_ipv4(address);
    size_t size = ipv4 ? 4 : 16;
    route_question question;
    union {
        struct nlmsghdr header;
        char bytes[4096];
    } answer;
    eg_locality locality = EG_LOCALITY_UNKNOWN;

    int link = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (link < 0) {
        return EG_LOCALITY_UNKNOWN;
    }
    memset(&question, 0, sizeof question);
    question.header.nlmsg_len = (uint32_t)(offsetof(route_question, address) + size);
    question.header.nlmsg_type = RTM_GETROUTE;
    question.header.nlmsg_flags = NLM_F_REQUEST;
    question.route.rtm_family = ipv4 ? AF_INET : AF_INET6;
    question.route.rtm_dst_len = (uint8_t)(size * 8);
    question.attribute.rta_type = RTA_DST;
    question.attribute.rta_len = (uint16_t)RTA_LENGTH(size);
    memcpy(question.address, address->bytes + 16 - size, size);
    ssize_t done;
    do {
        /* Without a destination it goes to the kernel; the kernel layer need not judge it. */
        done = send(link, &question, question.header.nlmsg_len, 0);
    } while (done < 0 && errno == EINTR);
    if (done > 0) {
        do {
            done = recv(link, &answer, sizeof answer, 0);
        } while (done < 0 && errno == EINTR);
    }
    if (done >= (ssize_t)NLMSG_LENGTH(sizeof(struct rtmsg)) && answer.header.nlmsg_type == RTM_NEWROUTE) {
        const struct rtmsg *route = NLMSG_DATA(&answer.header);
        /* Anycast of an own prefix, directed broadcast and multicast are delivered here too. */
        locality = route->rtm_type == RTN_UNICAST ? EG_LOCALITY_ELSEWHERE : EG_LOCALITY_OWN;
    } else if (done >= (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) &&
               answer.header.nlmsg_type == NLMSG_ERROR) {
        /* No route, or a route that throws it away: nothing of this machine answers there. Any
         * other error is no answer. */
        const struct nlmsgerr *refusal = NLMSG_DATA(&answer.header);
        if (refusal->error == -ENETUNREACH || refusal->error == -EHOSTUNREACH || refusal->error == -EACCES ||
            refusal->error == -EINVAL) {
            locality = EG_LOCALITY_ELSEWHERE;
        }
    }
    close(link);
    return locality;
}
#else
static eg_locality ask_route(const eg_address *address)
{
    eg_address own[64];
    size_t count = eg_machine_own_addresses(own, 64);
    if (count == 64) {
        return EG_LOCALITY_UNKNOWN;
    }
    for (size_t i = 0; i < count; i++) {
        if (eg_address_equal(address, &own[i])) {
            return EG_LOCALITY_OWN;
        }
    }
    return EG_LOCALITY_ELSEWHERE;
}
#endif

eg_locality eg_machine_ask_locality(const eg_address *address)
{
    int saved = errno;
    eg_locality locality = ask_route(address);
    errno = saved;
    return locality;
}

/* A small cache of answers. A word is a tag of the address, the moment in milliseconds
 * and the answer, so one atomic word is always whole. */
#define LOCALITY_SLOTS 1024u
static _Atomic uint64_t localities[LOCALITY_SLOTS];

static uint64_t now_ms(void)
{
    struct timespec now;
#ifdef CLOCK_MONOTONIC_COARSE
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

eg_locality eg_machine_locality(const eg_address *address)
{
    /* 34 bits of tag, 28 of time, 2 of answer. The seed is the address of a static, which
     * differs from process to process where addresses are randomised. */
    uint64_t hash = eg_hash_bytes(address->bytes, sizeof address->bytes, (uint64_t)(uintptr_t)localities);
    _Atomic uint64_t *slot = &localities[hash % LOCALITY_SLOTS];
    uint64_t tag = hash >> 30, now = now_ms() & 0xfffffff;
    uint64_t kept = atomic_load_explicit(slot, memory_order_relaxed);

    if ((kept & 3) != EG_LOCALITY_UNKNOWN && kept >> 30 == tag &&
        ((now - (kept >> 2 & 0xfffffff)) & 0xfffffff) < EG_LOCALITY_KEPT_MS) {
        return (eg_locality)(kept & 3);
    }
    eg_locality locality = eg_machine_ask_locality(address);
    atomic_store_explicit(slot, tag << 30 | now << 2 | (uint64_t)locality, memory_order_relaxed);
    return locality;
}

size_t eg_machine_own_addresses(eg_address *out, size_t most)
{
    struct ifaddrs *list = NULL;
    size_t count = 0;

    if (getifaddrs(&list) != 0) {
        return 0;
    }
    for (struct ifaddrs *at = list; at != NULL && count < most; at = at->ifa_next) {
        eg_endpoint endpoint;
        if (at->ifa_addr == NULL) {
            continue;
        }
        size_t length = at->ifa_addr->sa_family == AF_INET    ? sizeof(struct sockaddr_in)
                        : at->ifa_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                              : 0;
        if (length != 0 && eg_endpoint_from_sockaddr(&endpoint, at->ifa_addr, length) == 0 &&
            eg_address_class(&endpoint.address) == EG_CLASS_GLOBAL) {
            out[count++] = endpoint.address;
        }
    }
    freeifaddrs(list);
    return count;
}

/* ---- files of lines ---- */

typedef struct line_reader {
    int file;
    size_t start, end;
    bool failed;   /* reading ended before the file did */
    bool skipping; /* inside a line that is longer than the buffer */
    char buffer[4096];
} line_reader;

static bool open_lines(line_reader *reader, const char *path)
{
    reader->file = open(path, O_RDONLY | O_CLOEXEC);
    reader->start = reader->end = 0;
    reader->skipping = reader->failed = false;
    return reader->file >= 0;
}

/* The next line with its comment cut off, or NULL at the end. */
static char *next_line(line_reader *reader)
{
    for (;;) {
        char *line = reader->buffer + reader->start;
        char *newline = memchr(line, '\n', reader->end - reader->start);
        if (newline != NULL) {
            *newline = '\0';
            reader->start = (size_t)(newline - reader->buffer) + 1;
            if (reader->skipping) {
                reader->skipping = false;
                continue;
            }
            line[strcspn(line, "#;")] = '\0';
            return line;
        }
        memmove(reader->buffer, line, reader->end - reader->start);
        reader->end -= reader->start;
        reader->start = 0;
        if (reader->end == sizeof reader->buffer - 1) {
            reader->skipping = true;
            reader->end = 0;
        }
        ssize_t more;
        do {
            more = read(reader->file, reader->buffer + reader->end, sizeof reader->buffer - 1 - reader->end);
        } while (more < 0 && errno == EINTR);
        if (more <= 0) {
            reader->failed = more < 0;
            if (reader->end == 0 || reader->skipping) {
                return NULL;
            }
            reader->buffer[reader->end] = '\n'; /* a last line without its newline */
            more = 1;
        }
        reader->end += (size_t)more;
    }
}

/* Cut the next word off `*at`; NULL at the end of the line. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t\r\f\v");
    if (*word == '\0') {
        return NULL;
    }
    char *end = word + strcspn(word, " \t\r\f\v");
    *at = end;
    if (*end != '\0') {
        *end = '\0';
        *at = end + 1;
    }
    return word;
}

static bool parse_host_address(const char *word, eg_address *out)
{
    struct in_addr ipv4;
    if (inet_aton(word, &ipv4) != 0) { /* what libc uses for both files: "127.1" counts */
        *out = eg_address_from_ipv4((const uint8_t *)&ipv4);
        return true;
    }
    return inet_pton(AF_INET6, word, out->bytes) == 1;
}

size_t eg_machine_hosts_addresses(const eg_name *name, eg_address *out, size_t most)
{
    line_reader reader;
    eg_address address;
    eg_name other;
    size_t count = 0;
    char *line, *word;

    if (!open_lines(&reader, "/etc/hosts")) {
        return 0;
    }
    while (count < most && (line = next_line(&reader)) != NULL) {
        word = next_word(&line);
        if (word == NULL || !parse_host_address(word, &address)) {
            continue;
        }
        while ((word = next_word(&line)) != NULL) {
            if (eg_name_normalise(word, strlen(word), &other) && eg_name_equal(&other, name->text)) {
                bool known = false;
                for (size_t i = 0; i < count; i++) {
                    known = known || eg_address_equal(&out[i], &address);
                }
                if (!known) {
                    out[count++] = address;
                }
                break;
            }
        }
    }
    close(reader.file);
    return count;
}

size_t eg_machine_hosts_names(const eg_address *address, eg_name *out, size_t most)
{
    line_reader reader;
    eg_address other;
    size_t count = 0;
    char *line, *word;

    if (!open_lines(&reader, "/etc/hosts")) {
        return 0;
    }
    while (count == 0 && (line = next_line(&reader)) != NULL) {
        word = next_word(&line);
        if (word == NULL || !parse_host_address(word, &other) || !eg_address_equal(address, &other)) {
            continue;
        }
        while (count < most && (word = next_word(&line)) != NULL) {
            count += eg_name_normalise(word, strlen(word), &out[count]);
        }
    }
    close(reader.file);
    return count;
}

/* ---- nameservers ---- */

#define NAMESERVERS_MAX 8u /* glibc reads three (resolv.conf(5)); more is only caution */

/* False where the file is there and could not be read. */
static bool read_nameservers(const char *path, eg_address *out, size_t most, size_t *count)
{
    line_reader reader;
    char *line, *word;

    *count = 0;
    if (!open_lines(&reader, path)) {
        return errno == ENOENT;
    }
    while (*count < most && (line = next_line(&reader)) != NULL) {
        word = next_word(&line);
        if (word == NULL || strcmp(word, "nameserver") != 0 || (word = next_word(&line)) == NULL) {
            continue;
        }
        word[strcspn(word, "%")] = '\0';
        if (parse_host_address(word, &out[*count])) {
            ++*count;
        }
    }
    close(reader.file);
    return !reader.failed;
}

bool eg_machine_first_nameserver(eg_address *out)
{
    static const uint8_t local[4] = {127, 0, 0, 1};
    size_t count;
    int saved = errno;
    bool known = read_nameservers("/etc/resolv.conf", out, 1, &count);

    errno = saved;
    if (known && count == 0) {
        *out = eg_address_from_ipv4(local);
    }
    return known;
}

eg_nameserver eg_machine_is_nameserver(const eg_address *address)
{
    eg_address servers[NAMESERVERS_MAX];
    size_t count;
    int saved = errno;
    /* Asked only for port 53; reading the file each time is what keeps the answer true,
     * whoever rewrites it and however it is replaced. */
    bool known = read_nameservers("/etc/resolv.conf", servers, NAMESERVERS_MAX, &count);

    errno = saved;
    if (!known) {
        return EG_NAMESERVER_UNKNOWN;
    }
    for (size_t i = 0; i < count; i++) {
        if (eg_address_equal(address, &servers[i])) {
            return EG_NAMESERVER_YES;
        }
    }
    /* resolv.conf(5): without a nameserver line libc asks the local machine. */
    return count == 0 && eg_address_is_test_loopback(address) ? EG_NAMESERVER_YES : EG_NAMESERVER_NO;
}
