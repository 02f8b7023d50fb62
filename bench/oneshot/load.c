/*
 * load: fetches one file from 127.0.0.1:PORT, over a connection of its own each time.
 *
 *   load [-n PARALLEL] [-t SECONDS] [-s TEXT] -f FILE -p PID PORT
 *
 *   -n PARALLEL  default 64
 *   -t SECONDS   in which connections are made; those that are under way then are waited for
 *   -s TEXT      what is said first; without it nothing is, and the server speaks first
 *   -f FILE      the bytes with which each answer must end; what stands before them, a header,
 *                must be as long in each answer
 *   -p PID       of the server, whose threads' time on the CPU is read from schedstat
 *
 * Each connection reads until the server closes, and is closed then. A thousand addresses of
 * loopback take turns. One line of JSON says how many were served, refused (or cut off), wrong, and
 * hung for longer than PATIENCE, after some tenths of a second that do not count.
 *
 * It does not sleep: a server that has to wake a CPU for each connection would pay for it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../load.h"

enum {
    MOST = 1 << 20,     /* bytes of the file */
    HEADER = 4096,      /* bytes before it, at most */
    EVENTS = 512,
    ADDRESSES = 1000,
    PATIENCE = 10,      /* seconds until a connection hangs */
};

#define WARM 0.3 /* seconds */

struct connection {
    int socket;
    bool said;
    size_t size;
    double began;
    char *text;
};

static struct {
    const char *say, *path;
    int parallel, port, process;
    double seconds;
} wanted = {.parallel = 64, .seconds = 2};

static struct connection *connections;
static char file[MOST];
static size_t size, header;
static int poller, under_way;
static double *delays;
static long served, refused, wrong, hung, space;

/* Connections */

static void dial(struct connection *connection)
{
    static uint32_t turn;
    int one = 1, made = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    uint32_t number = turn++ % ADDRESSES;
    struct sockaddr_in from = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(0x7f010001u + (number / 250 << 8) + number % 250),
    };
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)wanted.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct epoll_event event = {
        .events = EPOLLIN | (wanted.say ? EPOLLOUT : 0),
        .data.ptr = connection,
    };
    if (made < 0)
        fail("socket: %s", strerror(errno));
    setsockopt(made, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(made, (struct sockaddr *)&from, sizeof from))
        fail("bind: %s", strerror(errno));
    connection->socket = made;
    connection->said = !wanted.say;
    connection->size = 0;
    connection->began = now();
    if (connect(made, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    if (epoll_ctl(poller, EPOLL_CTL_ADD, made, &event))
        fail("epoll_ctl: %s", strerror(errno));
    under_way++;
}

static void note(double delay)
{
    if (served == space) {
        space = space ? 2 * space : 4096;
        delays = realloc(delays, (size_t)space * sizeof *delays);
        if (!delays)
            fail("no memory");
    }
    delays[served++] = delay;
}

static void judge(struct connection *connection)
{
    size_t before = connection->size - size;
    bool whole = connection->size >= size && !memcmp(connection->text + before, file, size);
    if (whole && !header)
        header = before;
    if (!whole || before != header)
        wrong++;
    else
        note(now() - connection->began);
}

static void hang_up(struct connection *connection)
{
    close(connection->socket);
    connection->socket = -1;
    under_way--;
}

static void speak(struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    size_t length = strlen(wanted.say);
    connection->said = send(connection->socket, wanted.say, length, MSG_NOSIGNAL) == (ssize_t)length;
    epoll_ctl(poller, EPOLL_CTL_MOD, connection->socket, &event);
}

/* Returns whether the connection is over. */
static bool hear(struct connection *connection)
{
    for (;;) {
        size_t room = size + HEADER - connection->size;
        char *end = connection->text + connection->size;
        ssize_t more = recv(connection->socket, end, room, 0);
        if (more < 0 && errno == EAGAIN)
            return false;
        if (more < 0 || (more == 0 && !connection->said)) /* a reset is told once, to send or recv */
            refused++;
        else if (more == 0)
            judge(connection);
        connection->size += more > 0 ? (size_t)more : 0;
        if (more <= 0 || connection->size == size + HEADER)
            break;
    }
    if (connection->size == size + HEADER)
        wrong++;
    return true;
}

/* The run */

static void look_for_hung(double when)
{
    for (int i = 0; i < wanted.parallel; i++) {
        struct connection *connection = &connections[i];
        if (connection->socket >= 0 && when - connection->began > PATIENCE) {
            hung++;
            hang_up(connection);
        }
    }
}

static double visit(double seconds)
{
    struct epoll_event events[EVENTS];
    double start = now(), end = start, looked = start;
    served = refused = wrong = hung = 0;
    for (int i = 0; i < wanted.parallel; i++)
        dial(&connections[i]);
    while (under_way) {
        int count = epoll_wait(poller, events, EVENTS, 0);
        end = now();
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection->said && events[i].events & EPOLLOUT)
                speak(connection);
            if (!(events[i].events & ~(uint32_t)EPOLLOUT) || !hear(connection))
                continue;
            hang_up(connection);
            if (end < start + seconds)
                dial(connection);
        }
        if (end > looked + 1)
            look_for_hung(looked = end);
    }
    return end - start;
}

static bool read_options(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "n:t:s:f:p:")) != -1;) {
        switch (option) {
        case 'n': wanted.parallel = atoi(optarg); break;
        case 't': wanted.seconds = atof(optarg); break;
        case 's': wanted.say = optarg; break;
        case 'f': wanted.path = optarg; break;
        case 'p': wanted.process = atoi(optarg); break;
        default: return false;
        }
    }
    if (optind != argc - 1)
        return false;
    wanted.port = atoi(argv[optind]);
    return wanted.port > 0 && wanted.port < 65536 && wanted.process > 0 && wanted.path &&
           wanted.parallel > 0 && wanted.parallel <= 10000 && wanted.seconds > 0 &&
           wanted.seconds <= 600;
}

static void prepare(void)
{
    FILE *found = fopen(wanted.path, "rb");
    if (!found)
        fail("%s: %s", wanted.path, strerror(errno));
    size = fread(file, 1, sizeof file, found);
    fclose(found);
    connections = calloc((size_t)wanted.parallel, sizeof *connections);
    poller = epoll_create1(0);
    if (!connections || poller < 0 || !size)
        fail("no memory, or nothing in the file");
    for (int i = 0; i < wanted.parallel; i++) {
        connections[i].socket = -1;
        connections[i].text = malloc(size + HEADER);
        if (!connections[i].text)
            fail("no memory");
    }
}

int main(int argc, char **argv)
{
    if (!read_options(argc, argv)) {
        fputs("usage: load [-n PARALLEL] [-t SECONDS] [-s TEXT] -f FILE -p PID PORT\n", stderr);
        return 2;
    }
    prepare();
    visit(WARM);
    double used = cpu(wanted.process), seconds = visit(wanted.seconds);
    used = cpu(wanted.process) - used;
    if (!served)
        fail("nothing was served: %ld refused, %ld wrong, %ld hung", refused, wrong, hung);
    sort(delays, served);
    printf("{\"served\": %ld, \"refused\": %ld, \"wrong\": %ld, \"hung\": %ld, \"seconds\": %.6f, "
           "\"cpu\": %.9f, \"p50\": %.9f, \"p99\": %.9f}\n", served, refused, wrong, hung, seconds,
           used, delays[served / 2], delays[served * 99 / 100]);
    return 0;
}
