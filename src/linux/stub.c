/* The stub's sockets and who may use them: only sockets that were redirected here are
 * answered, each from the nameserver that it dialled. */
#include "linux/stub.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "linux/stub_inside.h"

struct eg_stub *eg_stub_create(void)
{
    void *block =
        mmap(NULL, sizeof(eg_stub), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) {
        return NULL;
    }
    eg_stub *stub = block;
    for (size_t i = 0; i < EG_STUB_SOCKETS; i++) {
        stub->sockets[i] = -1;
    }
    for (size_t i = 0; i < EG_CONNECTIONS; i++) {
        stub->connections[i].socket = -1;
    }
    return stub;
}

void eg_stub_destroy(struct eg_stub *stub)
{
    munmap(stub, sizeof *stub);
}

bool eg_stub_is_busy(const struct eg_stub *stub)
{
    bool busy = stub->busy > 0;
    for (size_t i = 0; i < EG_STUB_SOCKETS; i++) {
        busy = busy || stub->full[i];
    }
    return busy;
}

void eg_stub_set_full(eg_supervisor *supervisor, uint32_t which, bool full)
{
    eg_stub *stub = supervisor->stub;
    struct epoll_event event = {.events = full ? 0 : EPOLLIN};

    event.data.u64 = (uint64_t)EG_EVENT_STUB << 32 | which;
    if (stub->full[which] != full && epoll_ctl(supervisor->epoll, EPOLL_CTL_MOD, stub->sockets[which], &event) == 0) {
        stub->full[which] = full;
    }
}

void eg_stub_make_room(eg_supervisor *supervisor)
{
    for (uint32_t i = 0; i < EG_STUB_SOCKETS; i++) {
        eg_stub_set_full(supervisor, i, false);
    }
}

static socklen_t loopback_of(int family, struct sockaddr_storage *out)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

    memset(out, 0, sizeof *out);
    if (family == AF_INET) {
        memcpy(out, &in, sizeof in);
        return sizeof in;
    }
    memcpy(out, &in6, sizeof in6);
    return sizeof in6;
}

static int kind_of(int family, bool tcp)
{
    bool ipv4 = family == AF_INET;
    return tcp ? (ipv4 ? EG_STUB_TCP4 : EG_STUB_TCP6) : ipv4 ? EG_STUB_UDP4 : EG_STUB_UDP6;
}

/* The stub's socket of this kind, opened when it is first needed. -errno. */
static int stub_socket(eg_supervisor *supervisor, int which)
{
    eg_stub *stub = supervisor->stub;
    int type = which == EG_STUB_UDP4 || which == EG_STUB_UDP6 ? SOCK_DGRAM : SOCK_STREAM;
    int family = which == EG_STUB_UDP4 || which == EG_STUB_TCP4 ? AF_INET : AF_INET6;
    struct sockaddr_storage address;

    if (stub->sockets[which] >= 0) {
        return stub->sockets[which];
    }
    int opened = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (opened < 0) {
        return -errno;
    }
    int room = 1 << 20; /* as much as the system allows: for the questions that wait */
    setsockopt(opened, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    socklen_t length = loopback_of(family, &address);
    if (bind(opened, (struct sockaddr *)&address, length) != 0 || (type == SOCK_STREAM && listen(opened, SOMAXCONN) != 0) ||
        eg_supervisor_watch(supervisor, opened, EG_EVENT_STUB, (uint32_t)which, EPOLLIN) != 0) {
        int error = errno;
        close(opened);
        return -error;
    }
    return stub->sockets[which] = opened;
}

/* A socket of another network namespace does not reach us, but perhaps somebody else. */
static bool same_network(int one, int other)
{
    uint64_t network = eg_network_of(one);
    return network != 0 && network == eg_network_of(other);
}

bool eg_stub_reaches(eg_supervisor *supervisor, int socket)
{
    int ours = stub_socket(supervisor, EG_STUB_UDP4);
    return ours >= 0 && same_network(socket, ours);
}

bool eg_stub_has_datagrams(const struct eg_stub *stub)
{
    return stub->sockets[EG_STUB_UDP4] >= 0 || stub->sockets[EG_STUB_UDP6] >= 0;
}

int eg_stub_redirect(eg_supervisor *supervisor, eg_work *work, const eg_socket_facts *facts,
                     const eg_endpoint *nameserver)
{
    bool tcp = facts->kind == EG_SOCKET_TCP;
    struct sockaddr_storage address;
    socklen_t length = sizeof address;

    if ((!tcp && facts->kind != EG_SOCKET_UDP) || eg_socket_family(work->socket) != nameserver->family) {
        return -EACCES;
    }
    int ours = stub_socket(supervisor, kind_of(nameserver->family, tcp));
    if (ours < 0) {
        return ours;
    }
    memset(&address, 0, sizeof address);
    if (!same_network(work->socket, ours) || getsockname(ours, (struct sockaddr *)&address, &length) != 0) {
        return -EACCES;
    }
    work->address = address;
    work->address_length = length;
    return 0;
}

/* From 1. Where there is no room, who dialled the oldest is led to the new one: both were named
 * by resolv.conf when they were dialled. */
static uint8_t number_of(eg_stub *stub, const eg_endpoint *nameserver)
{
    for (size_t i = 0; i < EG_NAMESERVERS; i++) {
        const eg_endpoint *known = &stub->nameservers[i];
        if (known->family == nameserver->family && known->port == nameserver->port &&
            known->scope_id == nameserver->scope_id && eg_address_equal(&known->address, &nameserver->address)) {
            return (uint8_t)(i + 1);
        }
    }
    size_t place = stub->next_nameserver;
    stub->next_nameserver = (place + 1) % EG_NAMESERVERS;
    stub->nameservers[place] = *nameserver;
    stub->nameservers[place].path = NULL;
    stub->nameservers[place].flow_info = 0; /* the source of an answer has none: udpv6_recvmsg in net/ipv6/udp.c */
    return (uint8_t)(place + 1);
}

void eg_stub_note_client(eg_supervisor *supervisor, const eg_work *work, const eg_endpoint *nameserver)
{
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    eg_endpoint endpoint;
    int type = 0;
    socklen_t size = sizeof type;

    if (getsockname(work->socket, (struct sockaddr *)&own, &length) != 0 ||
        eg_endpoint_from_sockaddr(&endpoint, &own, length) != 0 || endpoint.port == 0 ||
        getsockopt(work->socket, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
        return; /* then it is a stranger, and gets no answer */
    }
    eg_stub_places *places = &supervisor->stub->places[kind_of(nameserver->family, type == SOCK_STREAM)];
    places->tid[endpoint.port] = work->tid;
    places->nameserver[endpoint.port] = number_of(supervisor->stub, nameserver);
}

/* The nameserver that was dialled from this port, NULL for a stranger's; `tid` dialled it. */
static const eg_endpoint *dialled_from(const eg_stub *stub, uint32_t which, const struct sockaddr_storage *from,
                                       int32_t *tid)
{
    eg_endpoint endpoint;

    if (eg_endpoint_from_sockaddr(&endpoint, from, sizeof *from) != 0) {
        return NULL;
    }
    uint8_t nameserver = stub->places[which].nameserver[endpoint.port];
    *tid = stub->places[which].tid[endpoint.port];
    return nameserver == 0 ? NULL : &stub->nameservers[nameserver - 1];
}

bool eg_stub_find_client(const eg_stub *stub, uint32_t which, const struct sockaddr_storage *from,
                         eg_stub_client *client)
{
    int32_t tid;
    const eg_endpoint *nameserver = dialled_from(stub, which, from, &tid);

    if (nameserver != NULL) {
        *client = (eg_stub_client){.tid = tid, .nameserver = *nameserver};
    }
    return nameserver != NULL;
}

static bool is_connected_to(int socket, int ours)
{
    struct sockaddr_storage peer, own;
    socklen_t peer_length = sizeof peer, own_length = sizeof own;
    eg_endpoint one, other;

    return ours >= 0 && getpeername(socket, (struct sockaddr *)&peer, &peer_length) == 0 &&
           getsockname(ours, (struct sockaddr *)&own, &own_length) == 0 &&
           eg_endpoint_from_sockaddr(&one, &peer, peer_length) == 0 &&
           eg_endpoint_from_sockaddr(&other, &own, own_length) == 0 && one.family == other.family &&
           one.port == other.port && eg_address_equal(&one.address, &other.address);
}

const eg_endpoint *eg_stub_stands_for(const eg_supervisor *supervisor, int socket)
{
    const eg_stub *stub = supervisor->stub;
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    eg_socket_facts facts;
    uint32_t which = is_connected_to(socket, stub->sockets[EG_STUB_UDP4]) ? EG_STUB_UDP4 : EG_STUB_UDP6;
    int32_t tid;

    if ((which == EG_STUB_UDP6 && !is_connected_to(socket, stub->sockets[which])) ||
        eg_socket_facts_read(socket, false, &facts) != 0 || facts.kind != EG_SOCKET_UDP ||
        getsockname(socket, (struct sockaddr *)&own, &size) != 0) {
        return NULL;
    }
    return dialled_from(stub, which, &own, &tid);
}

void eg_stub_answer(eg_supervisor *supervisor, const eg_asker *asker, const uint8_t *answer, size_t length)
{
    uint8_t prefix[2] = {(uint8_t)(length >> 8), (uint8_t)length};
    struct iovec vectors[2] = {{prefix, 2}, {(void *)(uintptr_t)answer, length}};

    if (asker->connection != NULL) {
        struct msghdr message = {.msg_iov = vectors, .msg_iovlen = 2};
        if (eg_exempt_sendmsg(supervisor->exempt, asker->connection->socket, &message,
                              MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length + 2) {
            eg_connection_close(supervisor, asker->connection); /* a client that does not read */
            return;
        }
        eg_connection_go_on(supervisor, asker->connection);
        return;
    }
    struct msghdr message = {.msg_name = (void *)(uintptr_t)asker->address,
                             .msg_namelen = asker->address_length,
                             .msg_iov = &vectors[1],
                             .msg_iovlen = 1};
    eg_exempt_sendmsg(supervisor->exempt, asker->stub_socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void read_datagram(eg_supervisor *supervisor, uint32_t which)
{
    int from_socket = supervisor->stub->sockets[which];
    uint8_t query[EG_DNS_QUERY_MAX + 1];
    struct sockaddr_storage from;
    struct iovec vector = {query, sizeof query};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &vector, .msg_iovlen = 1};

    if (supervisor->stub->asking >= EG_EXCHANGES - EG_CONNECTIONS) {
        eg_stub_set_full(supervisor, which, true); /* a resolver that is told SERVFAIL gives up */
        return;
    }
    memset(&from, 0, sizeof from);
    ssize_t length = recvmsg(from_socket, &message, 0); /* a recvfrom would be notified to ourselves */
    eg_stub_client client;
    if (length < 0 || !eg_stub_find_client(supervisor->stub, which, &from, &client)) {
        return; /* strangers hear nothing: any program of the machine can send to this port */
    }
    eg_asker asker = {.tid = client.tid,
                      .nameserver = &client.nameserver,
                      .stub_socket = from_socket,
                      .address = &from,
                      .address_length = message.msg_namelen};
    eg_stub_ask(supervisor, &asker, query, (size_t)length);
}

void eg_stub_ready(eg_supervisor *supervisor, uint32_t index)
{
    eg_stub *stub = supervisor->stub;

    if (index >= EG_STUB_EXCHANGE) {
        if (index - EG_STUB_EXCHANGE < EG_EXCHANGES) {
            eg_exchange_ready(supervisor, &stub->exchanges[index - EG_STUB_EXCHANGE]);
        }
    } else if (index >= EG_STUB_CONNECTION) {
        if (index - EG_STUB_CONNECTION < EG_CONNECTIONS) {
            eg_connection_ready(supervisor, &stub->connections[index - EG_STUB_CONNECTION]);
        }
    } else if (index == EG_STUB_UDP4 || index == EG_STUB_UDP6) {
        read_datagram(supervisor, index);
    } else if (index < EG_STUB_SOCKETS) {
        eg_connection_accept(supervisor, index);
    }
}

void eg_stub_tick(eg_supervisor *supervisor)
{
    eg_stub *stub = supervisor->stub;
    int64_t now = eg_stub_is_busy(stub) ? eg_now_ms() : 0;

    for (size_t i = 0; stub->busy > 0 && i < EG_EXCHANGES; i++) {
        eg_exchange *exchange = &stub->exchanges[i];
        if (exchange->step != EG_EXCHANGE_FREE && now >= exchange->deadline_ms) {
            eg_stub_connection *connection = exchange->connection;
            eg_exchange_end(supervisor, exchange);
            if (connection != NULL) {
                eg_connection_close(supervisor, connection);
            }
        }
    }
    eg_connection_tick(supervisor, now);
    eg_stub_make_room(supervisor); /* a client may have been silent for long enough meanwhile */
}
