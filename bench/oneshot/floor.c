/*
 * floor: the least that a server can do to hand out a file, as a measure for mtnet's.
 *
 *   floor PORT FILE
 *
 * Whoever connects to 127.0.0.1:PORT is sent the file, and the connection is closed: accept, send,
 * close. Nothing is read, and no time is kept. The file must fit into a socket's send buffer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1 << 20 };

static char text[MOST];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static size_t load(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail(path);
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    return size;
}

static int start_listening(int port)
{
    int one = 1, room = 4 * MOST, made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(made, SOL_SOCKET, SO_SNDBUF, &room, sizeof room); /* of those accepted, too */
    if (bind(made, (struct sockaddr *)&address, sizeof address) || listen(made, 4096))
        fail("bind");
    return made;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: floor PORT FILE\n", stderr);
        return 2;
    }
    size_t size = load(argv[2]);
    int listener = start_listening(atoi(argv[1]));
    for (;;) {
        int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (peer < 0)
            fail("accept");
        if (send(peer, text, size, MSG_NOSIGNAL) != (ssize_t)size)
            fputs("floor: the file was not taken whole\n", stderr);
        close(peer);
    }
}
