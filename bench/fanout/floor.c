/*
 * floor: the least that a server can do to tell many what one says, as a measure for mtnet's.
 *
 *   floor PORT
 *
 * One thread, epoll. Whoever says FOLLOW on 127.0.0.1:PORT is sent what is published from then on,
 * whoever says PUBLISH has the rest of what it says published; both are answered OK. The whole
 * lines of one read go out together, with one send for each follower; what a socket does not take
 * is kept. Nothing is looked at, stored or acknowledged.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS = 1024,
    ROOM = 1 << 20,     /* bytes of a publisher's read */
    MOST = 65536,       /* descriptors */
    KEPT = 64 << 20,    /* bytes for one follower that does not read; then it is cut off */
};

enum kind { STRANGER, FOLLOWER, PUBLISHER };

struct peer {
    int socket, place; /* among the followers */
    enum kind kind;
    char *rest;        /* what its socket did not take */
    size_t size, sent;
};

static struct peer *peers[MOST], *followers[MOST];
static int many, poller;
static char text[ROOM];
static size_t filled;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int operation, struct peer *peer, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = peer->socket};
    if (epoll_ctl(poller, operation, peer->socket, &event))
        fail("epoll_ctl");
}

static void drop(struct peer *peer)
{
    if (peer->kind == FOLLOWER) {
        followers[peer->place] = followers[--many];
        followers[peer->place]->place = peer->place;
    }
    peers[peer->socket] = NULL;
    close(peer->socket);
    free(peer->rest);
    free(peer);
}

static void keep(struct peer *peer, const char *data, size_t size)
{
    if (peer->size + size > KEPT) {
        drop(peer);
        return;
    }
    if (!peer->size)
        watch(EPOLL_CTL_MOD, peer, EPOLLIN | EPOLLOUT);
    peer->rest = realloc(peer->rest, peer->size + size);
    if (!peer->rest)
        fail("realloc");
    memcpy(peer->rest + peer->size, data, size);
    peer->size += size;
}

/* Backwards, since one that is dropped gives its place to the last one. */
static void tell(const char *data, size_t size)
{
    for (int i = many - 1; i >= 0; i--) {
        struct peer *peer = followers[i];
        ssize_t sent = 0;
        if (!peer->size)
            sent = send(peer->socket, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent == (ssize_t)size)
            continue;
        if (sent < 0 && errno != EAGAIN)
            drop(peer);
        else
            keep(peer, data + (sent < 0 ? 0 : sent), size - (size_t)(sent < 0 ? 0 : sent));
    }
}

static void drain(struct peer *peer)
{
    size_t left = peer->size - peer->sent;
    ssize_t sent = send(peer->socket, peer->rest + peer->sent, left, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0)
        peer->sent += (size_t)sent;
    if (peer->sent == peer->size) {
        peer->size = peer->sent = 0;
        watch(EPOLL_CTL_MOD, peer, EPOLLIN);
    }
}

static void publish(struct peer *peer)
{
    ssize_t size = recv(peer->socket, text + filled, sizeof text - filled, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0) {
        drop(peer);
        filled = 0;
        return;
    }
    filled += (size_t)size;
    char *end = memrchr(text, '\n', filled);
    if (!end)
        return;
    size_t whole = (size_t)(end + 1 - text);
    tell(text, whole);
    filled -= whole;
    memmove(text, text + whole, filled);
}

static void hear(struct peer *peer)
{
    char word[64];
    ssize_t size = recv(peer->socket, word, sizeof word, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0) {
        drop(peer);
        return;
    }
    if (peer->kind == FOLLOWER)
        return;
    peer->kind = word[0] == 'F' ? FOLLOWER : PUBLISHER;
    if (peer->kind == FOLLOWER) {
        peer->place = many;
        followers[many++] = peer;
    }
    if (send(peer->socket, "OK\r\n", 4, MSG_NOSIGNAL) != 4)
        drop(peer);
}

static void welcome(int listener)
{
    int one = 1;
    for (int found; (found = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct peer *peer = found < MOST ? calloc(1, sizeof *peer) : NULL;
        if (!peer)
            fail("accept");
        setsockopt(found, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        peer->socket = found;
        peers[found] = peer;
        watch(EPOLL_CTL_ADD, peer, EPOLLIN);
    }
}

static int start_listening(int port)
{
    int one = 1, made = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct epoll_event event = {.events = EPOLLIN, .data.fd = made};
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(made, (struct sockaddr *)&address, sizeof address) || listen(made, 4096))
        fail("bind");
    if (epoll_ctl(poller, EPOLL_CTL_ADD, made, &event))
        fail("epoll_ctl");
    return made;
}

static void serve(const struct epoll_event *event)
{
    struct peer *peer = peers[event->data.fd];
    if (peer && peer->size && event->events & EPOLLOUT)
        drain(peer);
    if (peer && event->events & ~(uint32_t)EPOLLOUT) {
        if (peer->kind == PUBLISHER)
            publish(peer);
        else
            hear(peer);
    }
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    struct epoll_event events[EVENTS];
    if (argc != 2) {
        fputs("usage: floor PORT\n", stderr);
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < MOST ? limit.rlim_max : MOST;
    setrlimit(RLIMIT_NOFILE, &limit);
    poller = epoll_create1(0);
    int listener = start_listening(atoi(argv[1]));
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                welcome(listener);
            else
                serve(&events[i]);
        }
    }
}
