/*
 * subscribers: sends ticks to 127.0.0.1:UDP and reads them from N subscriptions of "*" at
 * 127.0.0.1:TCP, in one thread.
 *
 *   subscribers UDP TCP SUBSCRIBERS RATE SECONDS SYMBOLS FORM DIALECT
 *
 * FORM: classic ("SYMBOL BID" NUL), line ("SYMBOL BID" LF), or batch (5 records behind "@@bench N").
 * DIALECT: stream (the tick port) or session (dialect 2). Ticks are sent in bursts of 1 ms. It ends when nothing more comes for a second, and prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 1000, BATCH = 5, SIZE = 1 << 18 };

#define BURST 0.001 /* seconds */
#define QUIET 5.0 /* seconds without a tick behind the last one: other programs may hold the server up */

static struct {
    const char *ask, *begin, *skipped;
} dialects[] = {
    {"SUBSCRIBE: *\n", "TICK: ", " ~"},
    {"<<HELLO|v=2>>\n<<TICKS|symbols=*>>\n", "<<TICK|", "|skipped="},
}, *dialect;

static struct {
    int socket;
    long lines, skipped;
    size_t held; /* of a line that is not whole yet */
    char buffer[SIZE];
} readers[MOST];

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int dial(int port)
{
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int found = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(found, (struct sockaddr *)&there, sizeof there))
        err(1, "connect");
    return found;
}

/* Count the ticks in whole lines, and keep the rest. */
static void take(int who, size_t size)
{
    char *at = readers[who].buffer, *end = at + size, *line;
    while ((line = memchr(at, '\n', (size_t)(end - at)))) {
        *line = 0;
        if (!strncmp(at, dialect->begin, strlen(dialect->begin))) {
            char *found = strstr(at, dialect->skipped);
            readers[who].lines++;
            readers[who].skipped += found ? atol(found + strlen(dialect->skipped)) : 0;
        }
        at = line + 1;
    }
    readers[who].held = (size_t)(end - at);
    memmove(readers[who].buffer, at, readers[who].held);
}

static bool read_all(int poll, int timeout)
{
    struct epoll_event events[64];
    int count = epoll_wait(poll, events, 64, timeout);
    for (int at = 0; at < count; at++) {
        int who = events[at].data.fd;
        size_t held = readers[who].held;
        ssize_t size = recv(readers[who].socket, readers[who].buffer + held, SIZE - held, MSG_DONTWAIT);
        if (size == 0)
            errx(1, "subscriber %d was closed", who);
        if (size > 0)
            take(who, held + (size_t)size);
    }
    return count > 0;
}

int main(int argc, char **argv)
{
    if (argc != 9)
        errx(1, "UDP TCP SUBSCRIBERS RATE SECONDS SYMBOLS FORM DIALECT");
    dialect = &dialects[!strcmp(argv[8], "session")];
    int count = atoi(argv[3]), symbols = atoi(argv[6]), poll = epoll_create1(0);
    double rate = atof(argv[4]), seconds = atof(argv[5]);
    bool batch = !strcmp(argv[7], "batch"), line = !strcmp(argv[7], "line");
    for (int who = 0; who < count; who++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = who};
        readers[who].socket = dial(atoi(argv[2]));
        if (send(readers[who].socket, dialect->ask, strlen(dialect->ask), 0) < 0)
            err(1, "subscribe");
        epoll_ctl(poll, EPOLL_CTL_ADD, readers[who].socket, &event);
    }
    while (read_all(poll, 1000))
        ;
    for (int who = 0; who < count; who++) /* the answer, and ticks of before */
        readers[who].lines = readers[who].skipped = 0;
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int out = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(out, (struct sockaddr *)&there, sizeof there))
        err(1, "connect");
    long sent = 0, number = 0;
    double begin = now();
    for (double time; (time = now() - begin) < seconds;) {
        time = (double)(long)(time / BURST) * BURST;
        while (sent < (long)(rate * time)) {
            char text[512];
            int size = batch ? sprintf(text, "@@bench %ld\n", ++number) : 0;
            for (int at = 0; at < (batch ? BATCH : 1); at++, sent++)
                size += sprintf(text + size, "SYM%ld 1.%05ld%s", sent % symbols, sent % 90000,
                                batch || line ? "\n" : "");
            if (send(out, text, (size_t)size + (!batch && !line), 0) < 0)
                err(1, "send");
        }
        read_all(poll, 0);
    }
    double lasted = now() - begin;
    for (double quiet = now(); now() - quiet < QUIET;)
        if (read_all(poll, 100))
            quiet = now();
    long lines = 0, skipped = 0, least = -1;
    for (int who = 0; who < count; who++) {
        long all = readers[who].lines + readers[who].skipped;
        lines += readers[who].lines;
        skipped += readers[who].skipped;
        least = least < 0 || all < least ? all : least;
    }
    printf("{\"sent\": %ld, \"rate\": %.0f, \"lines\": %ld, \"skipped\": %ld, \"least\": %ld}\n", sent,
           (double)sent / lasted, lines, skipped, least);
}
