/* Questions over TCP (RFC 1035, 4.2.2): two bytes of length, then the message; a client may
 * send the next one before it has its answer. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "linux/stub_inside.h"

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
}

void eg_connection_accept(eg_supervisor *supervisor, int listener)
{
    eg_stub *stub = supervisor->stub;
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    size_t index = 0;

    memset(&from, 0, sizeof from);
    int accepted = accept4(listener, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0) {
        return;
    }
    const eg_stub_client *client = eg_stub_find_client(stub, &from, true);
    while (index < EG_CONNECTIONS && stub->connections[index].socket >= 0) {
        index++;
    }
    if (client == NULL || index == EG_CONNECTIONS ||
        eg_supervisor_watch(supervisor, accepted, EG_EVENT_STUB, EG_STUB_CONNECTION + (uint32_t)index, EPOLLIN) != 0) {
        close(accepted);
        return;
    }
    stub->connections[index] =
        (eg_stub_connection){.socket = accepted, .client = *client, .heard_ms = eg_now_ms()};
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

void eg_connection_go_on(eg_supervisor *supervisor, eg_stub_connection *connection)
{
    connection->busy = false;
    if (!connection->asking) {
        ask_next(supervisor, connection);
    }
}

void eg_connection_ready(eg_supervisor *supervisor, eg_stub_connection *connection)
{
    if (connection->socket < 0) {
        return;
    }
    size_t room = sizeof connection->bytes - connection->length;
    if (room == 0) {
        eg_connection_close(supervisor, connection); /* more at once than any resolver sends */
        return;
    }
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
}
