/* Questions over TCP from any client: bytes in any pieces, answers at any time. Each complete message is asked once, in
 * its order, and one that is too long ends the connection.
 *
 * An input is pieces: a byte of length, a byte whose lowest bit says whether the question under way is answered before
 * the piece comes and whose next one whether answers come at once, and so many bytes. */
#include "fuzz.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "linux/stub_inside.h"

static eg_supervisor supervisor;
static eg_stub_connection *connection;
static struct {
    uint8_t stream[65536];
    size_t length, asked_to; /* bytes of the stream, and up to where they were asked */
    bool at_once;
} now;

/* ---- the rest of the supervisor ---- */

int64_t eg_now_ms(void)
{
    return 1000;
}

int eg_supervisor_watch(eg_supervisor *self, int descriptor, uint32_t kind, uint32_t index, uint32_t events)
{
    (void)self, (void)descriptor, (void)kind, (void)index, (void)events;
    return 0;
}

int __wrap_epoll_ctl(int epoll, int operation, int descriptor, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int descriptor, struct epoll_event *event)
{
    (void)epoll, (void)operation, (void)descriptor, (void)event;
    return 0;
}

void eg_exchange_end(eg_supervisor *self, eg_exchange *exchange)
{
    (void)self, (void)exchange;
    CHECK(false, "no exchange is under way");
}

bool eg_stub_find_client(const eg_stub *stub, uint32_t which, const struct sockaddr_storage *from,
                         eg_stub_client *client)
{
    (void)stub, (void)which, (void)from, (void)client;
    return false;
}

void eg_stub_make_room(eg_supervisor *self)
{
    (void)self;
}

void eg_stub_set_full(eg_supervisor *self, uint32_t which, bool full)
{
    (void)self, (void)which, (void)full;
    CHECK(false, "nobody is accepted");
}

void eg_stub_ask(eg_supervisor *self, const eg_asker *asker, const uint8_t *query, size_t length)
{
    const uint8_t *at = now.stream + now.asked_to;
    CHECK(now.asked_to + 2 + length <= now.length, "what is asked has come");
    CHECK((size_t)(at[0] << 8 | at[1]) == length && memcmp(at + 2, query, length) == 0, "messages are asked in order");
    CHECK(length <= EG_DNS_QUERY_MAX && asker->connection == connection, "a message that fits, of this client");
    now.asked_to += 2 + length;
    if (now.at_once) {
        eg_connection_go_on(self, connection);
    }
}

/* ---- the client ---- */

static bool has_bytes(void)
{
    uint8_t byte;
    return connection->socket >= 0 && !connection->deaf && recv(connection->socket, &byte, 1, MSG_PEEK) == 1;
}

static void read_all(void)
{
    for (int round = 0; has_bytes(); round++) {
        size_t before = connection->length, asked = now.asked_to;
        eg_connection_ready(&supervisor, connection);
        CHECK(round < 4096 && (connection->socket < 0 || connection->length != before || now.asked_to != asked),
              "reading goes on");
    }
}

static void answer(void)
{
    if (connection->socket >= 0 && connection->busy) {
        eg_connection_go_on(&supervisor, connection);
        read_all();
    }
}

/* What is left must be no whole message, or one that is too long. */
static void check_rest(void)
{
    const uint8_t *at = now.stream + now.asked_to;
    size_t rest = now.length - now.asked_to;
    size_t length = rest < 2 ? 0 : (size_t)(at[0] << 8 | at[1]);

    CHECK(rest < 2 || length > EG_DNS_QUERY_MAX || rest < length + 2, "every whole message was asked");
    CHECK((connection->socket < 0) == (rest >= 2 && length > EG_DNS_QUERY_MAX), "what is too long ends it, alone");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];

    if (supervisor.stub == NULL) {
        void *block = mmap(NULL, sizeof(eg_stub), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CHECK(block != MAP_FAILED, "memory");
        supervisor.stub = block;
        connection = &supervisor.stub->connections[0];
        for (size_t i = 0; i < EG_CONNECTIONS; i++) {
            supervisor.stub->connections[i].socket = -1;
        }
    }
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0, "a pair of sockets");
    now.length = now.asked_to = 0;
    *connection = (eg_stub_connection){.socket = pair[0]};
    supervisor.stub->busy = 1;
    for (size_t at = 0; at + 2 <= size && connection->socket >= 0;) {
        size_t length = data[at] < size - at - 2 ? data[at] : size - at - 2;
        now.at_once = (data[at + 1] & 2) != 0;
        if ((data[at + 1] & 1) != 0) {
            answer();
        }
        if (length > 0 && connection->socket >= 0 && send(pair[1], data + at + 2, length, 0) == (ssize_t)length) {
            memcpy(now.stream + now.length, data + at + 2, length);
            now.length += length;
        }
        at += 2 + length;
        read_all();
    }
    for (int round = 0; connection->socket >= 0 && (connection->busy || has_bytes()); round++) {
        CHECK(round < 65536, "it ends");
        answer();
        read_all();
    }
    check_rest();
    eg_connection_close(&supervisor, connection);
    CHECK(supervisor.stub->busy == 0, "its place is free");
    close(pair[1]);
    return 0;
}
