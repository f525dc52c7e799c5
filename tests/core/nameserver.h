/* A nameserver of the sandbox, on 127.0.0.1:53: answers from a table, and remembers what it
 * was asked, so that a test can say what left the process. */
#ifndef EG_TESTS_NAMESERVER_H
#define EG_TESTS_NAMESERVER_H

#include "sandbox.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>

typedef struct zone_line {
    const char *name;
    const char *address;
} zone_line;

static const zone_line zone[] = {
    {"api.test", "203.0.113.9"},   {"api.test", "2001:db8:99::9"}, {"slow.test", "203.0.113.10"},
    {"mixed.test", "127.0.0.1"},   {"mixed.test", "203.0.113.11"}, {"mixed.test", SANDBOX_IPV4},
    {"mixed.test", "::1"},         {"bad.test", "127.0.0.1"},      {"bad.test", "::ffff:127.0.0.1"},
    {"bad.test", "169.254.1.1"},   {"a.wild.test", "203.0.113.12"}, {"api.test.evil.test", "203.0.113.66"},
};

static struct {
    pthread_mutex_t lock;
    pthread_t thread;
    int socket;
    char asked[64][256];
    size_t count;
    bool held; /* slow.test is answered when this is cleared */
} nameserver = {.lock = PTHREAD_MUTEX_INITIALIZER, .socket = -1};

HELPER size_t nameserver_name(const uint8_t *message, size_t size, char *text)
{
    size_t at = 12, used = 0;
    while (at < size && message[at] != 0 && used + message[at] + 1 < 256) {
        memcpy(text + used, message + at + 1, message[at]);
        used += message[at];
        text[used++] = '.';
        at += message[at] + 1u;
    }
    text[used > 0 ? used - 1 : 0] = '\0';
    return at + 1;
}

/* Append the records of the name to the question in `message`; returns the new size. */
HELPER size_t nameserver_answer(uint8_t *message, size_t question_end, const char *name)
{
    bool ipv6 = message[question_end - 3] == 28;
    size_t at = question_end;
    bool known = false;
    message[2] |= 0x80;
    memset(message + 6, 0, 6);
    for (size_t i = 0; i < COUNT_OF(zone); i++) {
        eg_address address = address_of(zone[i].address);
        known = known || strcmp(zone[i].name, name) == 0;
        if (strcmp(zone[i].name, name) != 0 || (strchr(zone[i].address, ':') != NULL) != ipv6) {
            continue;
        }
        const uint8_t record[12] = {0xc0, 12, 0, ipv6 ? 28 : 1, 0, 1, 0, 0, 0, 1, 0, ipv6 ? 16 : 4};
        memcpy(message + at, record, sizeof record);
        memcpy(message + at + sizeof record, address.bytes + (ipv6 ? 0 : 12), ipv6 ? 16 : 4);
        at += sizeof record + (ipv6 ? 16 : 4);
        message[7]++;
    }
    message[3] = (uint8_t)(0x80 | (known ? 0 : 3)); /* RA, NXDOMAIN */
    return at;
}

HELPER void *nameserver_run(void *unused)
{
    (void)unused;
    for (;;) {
        uint8_t message[2048];
        char name[256];
        struct sockaddr_in6 peer;
        socklen_t peer_size = sizeof peer;
        ssize_t size = recvfrom(nameserver.socket, message, 512, 0, (struct sockaddr *)&peer, &peer_size);
        if (size <= 12) {
            continue;
        }
        size_t end = nameserver_name(message, (size_t)size, name) + 4;
        pthread_mutex_lock(&nameserver.lock);
        if (nameserver.count < COUNT_OF(nameserver.asked)) {
            snprintf(nameserver.asked[nameserver.count++], 256, "%s", name);
        }
        bool held = nameserver.held && strcmp(name, "slow.test") == 0;
        pthread_mutex_unlock(&nameserver.lock);
        while (held) {
            usleep(1000);
            pthread_mutex_lock(&nameserver.lock);
            held = nameserver.held;
            pthread_mutex_unlock(&nameserver.lock);
        }
        size_t answer = nameserver_answer(message, end, name);
        sendto(nameserver.socket, message, answer, 0, (struct sockaddr *)&peer, peer_size);
    }
    return NULL;
}

HELPER bool nameserver_start(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(53)};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    nameserver.socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return nameserver.socket >= 0 && bind(nameserver.socket, (struct sockaddr *)&here, sizeof here) == 0 &&
           pthread_create(&nameserver.thread, NULL, nameserver_run, NULL) == 0;
}

/* How often a name was asked since the last nameserver_forget. */
HELPER size_t nameserver_asked(const char *name)
{
    size_t count = 0;
    pthread_mutex_lock(&nameserver.lock);
    for (size_t i = 0; i < nameserver.count; i++) {
        count += name == NULL || strcmp(nameserver.asked[i], name) == 0;
    }
    pthread_mutex_unlock(&nameserver.lock);
    return count;
}

HELPER void nameserver_forget(void)
{
    pthread_mutex_lock(&nameserver.lock);
    nameserver.count = 0;
    pthread_mutex_unlock(&nameserver.lock);
}

HELPER void nameserver_hold(bool held)
{
    pthread_mutex_lock(&nameserver.lock);
    nameserver.held = held;
    pthread_mutex_unlock(&nameserver.lock);
}

/* Enter the sandbox and start the server there. The environment tries what it can to change
 * the question: a search domain, and dots that are never enough. */
HELPER void nameserver_enter(void)
{
    setenv("LOCALDOMAIN", "evil.test", 1);
    setenv("RES_OPTIONS", "ndots:15", 1);
    sandbox_enter();
    if (sandbox_missing[0] != '\0') {
        return;
    }
    if (!sandbox_write("/etc/resolv.conf", "nameserver 127.0.0.1\nsearch evil.test\noptions timeout:2 attempts:1\n") ||
        !sandbox_write("/etc/hosts", "127.0.0.1 localhost\n") || !nameserver_start()) {
        snprintf(sandbox_missing, sizeof sandbox_missing, "a nameserver of its own (%s)", strerror(errno));
    }
}

#endif
