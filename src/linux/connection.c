/* Questions over TCP (RFC 1035, 4.2.2): two bytes of length, then the message; a client may
 * send the next one before it has its answer. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "linux/stub_inside.h"

static int watch(eg_supervisor *supervisor, const eg_stub_connection *connection, int socket)
{
    return eg_supervisor_watch(supervisor, socket, EG_EVENT_STUB,
                               EG_STUB_CONNECTION + (uint32_t)(connection - supervisor->stub->connections), EPOLLIN);
}

void eg_connection_close(eg_supervisor *supervisor, eg_stub_connection *connection)
{
    eg_stub *stub = supervisor->stub;

    if (connection->socket < 0) {
        return;
    }
    for (size_t i = 0; i < EG_EXCHANGES; i++) {
        if (stub->exchanges[i].step != EG_EXCHANGE_FREE && stub->exchanges[i].connection == connection) {
            eg_exchange_end(supervisor, &stub->exchanges[i]);
        }
    }
    close(connection->socket);
    connection->socket = -1;
    stub->busy--;
    eg_stub_make_room(supervisor);
}

/* May its place go to another client? One that was served and has sent nothing since; and one
 * that has not asked in a second, which resolvers do at once. */
static bool is_idle(const eg_stub_connection *connection, int64_t now)
{
    return !connection->busy && ((connection->answered && connection->length == 0) ||
                                 now - connection->heard_ms >= EG_ASK_MS);
}

/* A free place, or that of the client that is idle for longest. NULL where all are at work. */
static eg_stub_connection *find_place(eg_supervisor *supervisor)
{
    eg_stub_connection *oldest = NULL;
    int64_t now = eg_now_ms();

    for (size_t i = 0; i < EG_CONNECTIONS; i++) {
        eg_stub_connection *connection = &supervisor->stub->connections[i];
        if (connection->socket < 0) {
            return connection;
        }
        if (is_idle(connection, now) && (oldest == NULL || connection->heard_ms < oldest->heard_ms)) {
            oldest = connection;
        }
    }
    if (oldest != NULL) {
        eg_connection_close(supervisor, oldest);
    }
    return oldest;
}

void eg_connection_accept(eg_supervisor *supervisor, uint32_t which)
{
    eg_stub *stub = supervisor->stub;
    eg_stub_connection *place = find_place(supervisor);
    struct sockaddr_storage from;
    socklen_t size = sizeof from;

    if (place == NULL) {
        eg_stub_set_full(supervisor, which, true);
        return;
    }
    memset(&from, 0, sizeof from);
    int accepted = accept4(stub->sockets[which], (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0) {
        /* Nobody any more; or no descriptor, and then it would be readable again at once. */
        eg_stub_set_full(supervisor, which, errno != EAGAIN && errno != EINTR && errno != ECONNABORTED);
        return;
    }
    eg_stub_client client;
    if (!eg_stub_find_client(stub, which, &from, &client) || watch(supervisor, place, accepted) != 0) {
        close(accepted);
        return;
    }
    *place = (eg_stub_connection){.socket = accepted, .client = client, .heard_ms = eg_now_ms()};
    stub->busy++;
}

/* Ask the next question that is complete in the buffer. False where there is none. */
static bool ask_one(eg_supervisor *supervisor, eg_stub_connection *connection)
{
    uint8_t query[EG_DNS_QUERY_MAX];

    if (connection->socket < 0 || connection->busy || connection->length < 2) {
        return false;
    }
    size_t length = (size_t)(connection->bytes[0] << 8 | connection->bytes[1]);
    if (length > EG_DNS_QUERY_MAX) {
        eg_connection_close(supervisor, connection);
        return false;
    }
    if (connection->length < length + 2) {
        return false;
    }
    memcpy(query, connection->bytes + 2, length);
    connection->length -= length + 2;
    memmove(connection->bytes, connection->bytes + length + 2, connection->length);
    connection->busy = true;
    eg_asker asker = {
        .tid = connection->client.tid, .nameserver = &connection->client.nameserver, .connection = connection};
    eg_stub_ask(supervisor, &asker, query, length);
    return true;
}

/* One question at a time is under way; what is refused is answered at once, so this goes on. */
static void ask_next(eg_supervisor *supervisor, eg_stub_connection *connection)
{
    connection->asking = true;
    while (ask_one(supervisor, connection)) {
    }
    connection->asking = false;
}

/* Hear the client, or not while there is no room for what it says. */
static void set_deaf(eg_supervisor *supervisor, eg_stub_connection *connection)
{
    bool deaf = connection->length == sizeof connection->bytes;

    if (connection->socket < 0 || connection->deaf == deaf) {
        return;
    }
    /* Out of the set, since one that hangs up is reported whatever was asked for. */
    if ((deaf ? epoll_ctl(supervisor->epoll, EPOLL_CTL_DEL, connection->socket, NULL)
              : watch(supervisor, connection, connection->socket)) != 0) {
        eg_connection_close(supervisor, connection);
        return;
    }
    connection->deaf = deaf;
}

void eg_connection_go_on(eg_supervisor *supervisor, eg_stub_connection *connection)
{
    connection->busy = false;
    connection->answered = true;
    connection->heard_ms = eg_now_ms();
    if (!connection->asking) {
        ask_next(supervisor, connection);
        set_deaf(supervisor, connection);
    }
    if (!connection->busy) {
        eg_stub_make_room(supervisor); /* for whoever waits: this one is idle now */
    }
}

void eg_connection_ready(eg_supervisor *supervisor, eg_stub_connection *connection)
{
    if (connection->socket < 0 || connection->deaf) {
        return;
    }
    size_t room = sizeof connection->bytes - connection->length;
    ssize_t more = recv(connection->socket, connection->bytes + connection->length, room, 0);
    if (more < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (more <= 0) {
        eg_connection_close(supervisor, connection);
        return;
    }
    connection->heard_ms = eg_now_ms();
    connection->length += (size_t)more;
    ask_next(supervisor, connection);
    set_deaf(supervisor, connection);
}

void eg_connection_tick(eg_supervisor *supervisor, int64_t now)
{
    eg_stub *stub = supervisor->stub;

    for (size_t i = 0; stub->busy > 0 && i < EG_CONNECTIONS; i++) {
        eg_stub_connection *connection = &stub->connections[i];
        if (connection->socket >= 0 && now - connection->heard_ms > EG_IDLE_MS) {
            eg_connection_close(supervisor, connection);
        }
    }
}
