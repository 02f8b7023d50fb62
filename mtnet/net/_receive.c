/* Receives the datagrams that wait, without Python between two of them; see udp.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define LARGEST 8192

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage storage;
} Address;

/* Returns the address as Python's recvfrom does; NULL = an exception is set. */
static PyObject *address_of(const Address *address)
{
    char host[INET6_ADDRSTRLEN];
    if (address->any.sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = &address->v6;
        if (!inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host))
            return PyErr_SetFromErrno(PyExc_OSError);
        return Py_BuildValue("(siII)", host, (int)ntohs(v6->sin6_port),
                             (unsigned int)ntohl(v6->sin6_flowinfo),
                             (unsigned int)v6->sin6_scope_id);
    }
    if (!inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof host))
        return PyErr_SetFromErrno(PyExc_OSError);
    return Py_BuildValue("(si)", host, (int)ntohs(address->v4.sin_port));
}

/* Appends a datagram and the address of its sender; returns 0, or -1 with an exception. */
static int append(PyObject *burst, const char *data, Py_ssize_t size, PyObject *sender)
{
    PyObject *bytes = PyBytes_FromStringAndSize(data, size);
    PyObject *pair = bytes ? PyTuple_Pack(2, bytes, sender) : NULL;
    int failed = !pair || PyList_Append(burst, pair);
    Py_XDECREF(bytes);
    Py_XDECREF(pair);
    return failed ? -1 : 0;
}

static PyObject *receive(PyObject *module, PyObject *args)
{
    PyObject *port, *burst, *sender = NULL;
    Py_ssize_t most, room, largest, count = 0, total = 0;
    char data[LARGEST];
    Address last, now;
    int error = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "Onnn:receive", &port, &most, &room, &largest))
        return NULL;
    if (largest < 0 || largest > LARGEST)
        return PyErr_Format(PyExc_ValueError, "at most %d bytes of a datagram are read", LARGEST);
    int number = PyObject_AsFileDescriptor(port);
    if (number < 0 || !(burst = PyList_New(0)))
        return NULL;
    /* The lock of the interpreter is kept: no call waits, and whoever took it might keep it. */
    for (; count < most && total < room; count++) {
        socklen_t length = sizeof now;
        memset(&now, 0, sizeof now);
        ssize_t size =
            recvfrom(number, data, (size_t)largest, MSG_DONTWAIT, &now.any, &length);
        if (size < 0) {
            error = errno;
            break;
        }
        total += size;
        /* Many come from one sender: they share its address. */
        if (!sender || memcmp(&last, &now, sizeof now)) {
            Py_XSETREF(sender, address_of(&now));
            last = now;
        }
        if (!sender || append(burst, data, size, sender)) {
            Py_XDECREF(sender);
            Py_DECREF(burst);
            return NULL;
        }
    }
    Py_XDECREF(sender);
    return Py_BuildValue("(Ni)", burst, error);
}

static PyMethodDef methods[] = {
    {"receive", receive, METH_VARARGS,
     "receive(port, most, room, largest) -> the datagrams and their senders, and an errno."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_receive", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__receive(void)
{
    return PyModuleDef_Init(&definition);
}
