/* What the stub's tables say after each step, counted anew. */
#include <sys/epoll.h>

#include "exchange/rules.h"

WITHOUT_COVERAGE

static void check_exchange(const eg_exchange *exchange, size_t index)
{
    const pretend_socket *socket = pretend_at(exchange->socket);

    CHECK(socket != NULL && socket->kind == PRETEND_UPSTREAM, "an exchange has a socket to a nameserver");
    CHECK(socket->watched && (uint32_t)socket->data == EG_STUB_EXCHANGE + index, "which is watched for it");
    CHECK((exchange->step == EG_EXCHANGE_UDP) == (socket->type == SOCK_DGRAM), "of the kind that its step says");
    CHECK(exchange->deadline_ms > clock_ms && exchange->deadline_ms <= clock_ms + EG_EXCHANGE_MS, "and it ends in time");
    int for_whom = (exchange->look != 0) + (exchange->work_id != 0);
    for_whom += (exchange->connection != NULL) + (exchange->client_length != 0);
    CHECK(for_whom == 1, "an exchange is for one asker");
    CHECK(exchange->connection == NULL || (exchange->connection->socket >= 0 && exchange->connection->busy), "who is still there");
    CHECK(exchange->query_length <= EG_DNS_QUERY_MAX && exchange->answer_length <= sizeof exchange->answer, "within its room");
}

static void check_connection(const eg_stub *stub, size_t index)
{
    const eg_stub_connection *connection = &stub->connections[index];
    const pretend_socket *socket = pretend_at(connection->socket);
    size_t exchanges = 0;

    for (size_t i = 0; i < EG_EXCHANGES && connection->busy; i++) {
        exchanges += stub->exchanges[i].step != EG_EXCHANGE_FREE && stub->exchanges[i].connection == connection;
    }
    CHECK(socket != NULL && socket->kind == PRETEND_STREAM && !connection->asking, "a connection has a client");
    CHECK(exchanges == connection->busy, "a busy one has one question under way");
    CHECK(connection->length <= sizeof connection->bytes, "what it said fits");
    CHECK(connection->deaf == !socket->watched && connection->deaf == (connection->length == sizeof connection->bytes),
          "it is heard while there is room for what it says");
    CHECK(!socket->watched || (uint32_t)socket->data == EG_STUB_CONNECTION + index, "and watched in its place");
    CHECK(clock_ms - connection->heard_ms <= EG_IDLE_MS, "who is silent for long is gone");
}

void rules_check_tables(size_t own_questions)
{
    const eg_stub *stub = supervisor.stub;
    size_t exchanges = 0, connections = 0, datagrams = 0, looks = 0, under_way = 0, in_use = 0;

    for (size_t i = 0; i < EG_EXCHANGES; i++) {
        const eg_exchange *exchange = &stub->exchanges[i];
        if (exchange->step != EG_EXCHANGE_FREE) {
            check_exchange(exchange, i);
            exchanges++;
            looks += exchange->look != 0;
            datagrams += exchange->client_length != 0;
            CHECK(exchange->look == 0 || stub->looks[exchange->look - 1].under_way, "a second look that is asked for is under way");
        }
    }
    for (size_t i = 0; i < EG_CONNECTIONS; i++) {
        if (stub->connections[i].socket >= 0) {
            check_connection(stub, i);
            connections++;
        }
    }
    for (size_t i = 0; i < EG_LOOKS; i++) {
        under_way += stub->looks[i].under_way;
    }
    for (size_t i = 0; i < EG_QUESTIONS; i++) {
        in_use += stub->questions[i].in_use;
    }
    for (size_t i = 0; i < EG_STUB_SOCKETS; i++) {
        const pretend_socket *one = pretend_at(stub->sockets[i]);
        CHECK(one == NULL || one->events == (stub->full[i] ? 0 : EPOLLIN), "what is full is not watched, the rest is");
    }
    CHECK(stub->asking == exchanges && stub->busy == exchanges + connections, "what is counted is in use");
    CHECK(datagrams <= EG_EXCHANGES - EG_CONNECTIONS, "datagrams leave each connection its exchange");
    CHECK(stub->looks_under_way == looks && under_way == looks, "each second look under way has its exchange");
    CHECK(in_use == own_questions, "each question on a caller's socket has its caller");
    CHECK(pretend_count(PRETEND_UPSTREAM) == exchanges && pretend_count(PRETEND_STREAM) == connections &&
              pretend_count(PRETEND_NEW) == 0,
          "no descriptor is open but those in use");
    CHECK(exchanges == 0 || eg_stub_is_busy(stub), "time passes while one is under way");
}

WITH_COVERAGE
