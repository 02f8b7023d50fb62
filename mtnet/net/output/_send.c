/* Sends the same bytes to many sockets, without Python between two of them; see broadcast.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <sys/socket.h>

/* Returns a new list of (place, sent) of those who took less than all; NULL = no memory. */
static PyObject *late(const ssize_t *sent, Py_ssize_t count, Py_ssize_t size)
{
    PyObject *found = PyList_New(0);
    for (Py_ssize_t at = 0; found && at < count; at++) {
        if (sent[at] == size)
            continue;
        PyObject *pair = Py_BuildValue("(nn)", at, sent[at] < 0 ? 0 : (Py_ssize_t)sent[at]);
        if (!pair || PyList_Append(found, pair))
            Py_CLEAR(found);
        Py_XDECREF(pair);
    }
    return found;
}

static PyObject *send_to(PyObject *module, PyObject *args)
{
    PyObject *ways, *found = NULL;
    Py_buffer data;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!y*:send_to", &PyList_Type, &ways, &data))
        return NULL;
    Py_ssize_t count = PyList_GET_SIZE(ways);
    int *sockets = PyMem_New(int, count);
    ssize_t *sent = PyMem_New(ssize_t, count);
    if (!sockets || !sent) {
        PyErr_NoMemory();
        goto end;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        /* Asked anew each time: the number of a closed socket may be somebody else's by now. */
        PyObject *way = PySequence_GetItem(ways, at); /* who asks may change the list */
        PyObject *number = way ? PyObject_CallMethod(way, "fileno", NULL) : NULL;
        sockets[at] = number ? (int)PyLong_AsLong(number) : -1;
        Py_XDECREF(number);
        Py_XDECREF(way);
        if (PyErr_Occurred())
            goto end;
    }
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t at = 0; at < count; at++)
        sent[at] = send(sockets[at], data.buf, (size_t)data.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    Py_END_ALLOW_THREADS
    found = late(sent, count, data.len);
end:
    PyMem_Free(sockets);
    PyMem_Free(sent);
    PyBuffer_Release(&data);
    return found;
}

static PyMethodDef methods[] = {
    {"send_to", send_to, METH_VARARGS,
     "send_to(sockets: list, data) -> list of (place, sent) of those who took less than all."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_send", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__send(void)
{
    return PyModuleDef_Init(&definition);
}
