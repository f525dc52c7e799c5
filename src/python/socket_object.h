/* What a Python socket object says about itself, and what the kernel says about it. */
#ifndef EG_PYTHON_SOCKET_OBJECT_H
#define EG_PYTHON_SOCKET_OBJECT_H

#include "python/guard.h"

/* Learn the layout of `_socket.socket` from its own member descriptors, and the functions
 * that need no route. 0, or -1 with an exception. */
int eg_socket_object_init(PyTypeObject *type);

/* The address family that the object parses addresses for. */
int eg_socket_object_family(PyObject *socket);

/* The kind of socket. Costs no system call where the object's own word can be trusted. */
eg_socket_kind eg_socket_object_kind(PyObject *socket);

/* The same for an object of a type that is not the one eg_socket_object_init() saw: the
 * kernel is asked, and EG_SOCKET_OTHER is the answer to every doubt. */
eg_socket_kind eg_socket_object_ask_kind(PyObject *socket, int *family);

/* The descriptor, or -1 without an exception. */
int eg_socket_object_descriptor(PyObject *socket);

/* Can eg_socket_object_direct_descriptor() be used: is the descriptor where 3.11 to 3.13 keep it? */
bool eg_socket_object_is_direct(void);

/* The descriptor without a call. Only where eg_socket_object_is_direct(). */
int eg_socket_object_direct_descriptor(PyObject *socket);

/* How long a call on it may wait: seconds, or -1 for ever. */
double eg_socket_object_timeout(PyObject *socket);

/* Close the descriptor of a socket that calls itself TCP; keeps the exception that is set. */
void eg_socket_object_close_tcp(PyObject *socket);

/* Is this a kind of socket after which objects' words cannot be trusted? Then
 * `sockets_distrusted` of the block is set, for forked children too: a descriptor can come back
 * from there, and dup2() puts it behind any object. */
bool eg_socket_object_is_exotic(int family, int type, int protocol);

/* Look at every descriptor that is open now, for the same reason. */
void eg_socket_object_scan_descriptors(eg_state *state);

#endif
