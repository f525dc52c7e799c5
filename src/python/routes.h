/* The replacements: parse, judge, act, in this order in every one of them. */
#ifndef EG_PYTHON_ROUTES_H
#define EG_PYTHON_ROUTES_H

#include "python/guard.h"

/* routes_dial.c: methods of _socket.socket */
PyObject *eg_route_connect(PyObject *self, PyObject *address);
PyObject *eg_route_connect_ex(PyObject *self, PyObject *address);
PyObject *eg_route_bind(PyObject *self, PyObject *address);

/* routes_send.c */
PyObject *eg_route_sendto(PyObject *self, PyObject *args);
PyObject *eg_route_sendmsg(PyObject *self, PyObject *args);
PyObject *eg_route_setsockopt(PyObject *self, PyObject *args);

/* routes_lookup.c: functions of _socket; `self` is the module */
PyObject *eg_route_getaddrinfo(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *eg_route_gethostbyname(PyObject *self, PyObject *args);
PyObject *eg_route_gethostbyname_ex(PyObject *self, PyObject *args);

/* routes_reverse.c */
PyObject *eg_route_gethostbyaddr(PyObject *self, PyObject *args);
PyObject *eg_route_getnameinfo(PyObject *self, PyObject *args);

#endif
