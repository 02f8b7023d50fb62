/*
 * load: one publisher and many followers of a server on 127.0.0.1:PORT, in one thread that spins.
 *
 *   load [-f FOLLOWERS] [-s SILENT] [-t SECONDS] [-r RATE] [-c] -o FOLLOW -e END
 *        -O PUBLISH -E END -p PID KIND PORT
 *
 *   -f FOLLOWERS  default 100; 5000 at most come from one address, 127.0.0.1, 127.0.0.2, ...
 *   -s SILENT     followers beside them who never read
 *   -t SECONDS    of each mode, after a few tenths of a second that do not count
 *   -r RATE       messages a second in the open loop
 *   -c            through TLS, whoever it is
 *   -o, -O        what a follower and the publisher say first, and
 *   -e, -E        what must have come until they are served
 *   -p PID        of the server, whose threads' time on the CPU is read from schedstat
 *   KIND          floor, nats, redis or mtnet: how messages are framed
 *
 * The modes are visited in turn, over the same connections: "one" publishes the next message when
 * the last follower has the one before, "burst" keeps 32 under way, "open" publishes at a given
 * rate, whatever becomes of it. Every byte that every follower is sent is compared: message n must
 * come once, after n - 1, and be the same for everybody. Each mode is one line of JSON; when
 * anything is wrong, there is a sentence and the status is 1.
 *
 * It does not sleep: a server that has to wake a CPU for each message would pay for it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../load.h"

enum {
    RING = 65536,       /* messages that may be under way, a power of two */
    TEXT = 256,         /* bytes of a message */
    LINE = 4096,        /* bytes of whatever else a server says in one line */
    ROOM = 1 << 18,     /* bytes of one read */
    EVENTS = 1024,
    BATCH = 64,         /* followers that are let in together */
    SOURCE = 5000,      /* followers from one address */
    WINDOW = 32,
    SMALL = 4096,       /* bytes that the kernel keeps for who never reads */
    PATIENCE = 60,      /* seconds for the last message to come */
};

#define WARM 0.4 /* seconds */

enum kind { FLOOR, NATS, REDIS, MTNET };

struct follower {
    int socket;
    SSL *tls; /* NULL = plain */
    long next; /* the message that it is to be sent */
    size_t kept;
    char *rest; /* what came of a line that is not whole */
};

struct message {
    double due;
    int left; /* followers who do not have it */
    int size; /* 0 = what the server makes of it is not known yet */
    char text[TEXT];
};

struct result {
    long messages;
    double seconds, cpu;
};

static struct {
    const char *follow, *followed, *publish, *ready;
    int followers, silent, port, process;
    bool secure;
    enum kind kind;
    double seconds, rate;
} wanted = {.followers = 100, .seconds = 2, .rate = 50};

static struct follower *followers, publisher;
static SSL_CTX *tls;
static struct message ring[RING];
static char room[LINE + ROOM];
static int poller;
static long published, finished, before; /* `before`: entries in the journal of mtnet */
static double *delays;
static long noted, space;

/* Connections */

static void say(struct follower *to, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t sent = to->tls ? SSL_write(to->tls, text, (int)size)
                               : send(to->socket, text, size, MSG_NOSIGNAL);
        if (sent <= 0)
            fail("the server takes nothing: %s", strerror(errno));
        text += sent;
        size -= (size_t)sent;
    }
}

/* As recv does; through TLS a socket that shall not be waited for must be of that kind. */
static ssize_t hear(struct follower *from, char *to, size_t size, int flags)
{
    if (!from->tls)
        return recv(from->socket, to, size, flags);
    int came = SSL_read(from->tls, to, (int)size);
    if (came > 0)
        return came;
    errno = SSL_get_error(from->tls, came) == SSL_ERROR_WANT_READ ? EAGAIN : EIO;
    return -1;
}

static struct follower dial(int number, int buffer)
{
    int one = 1, made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(number / SOURCE)),
    };
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)wanted.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (made < 0)
        fail("socket: %s", strerror(errno));
    if (buffer)
        setsockopt(made, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(made, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(made, (struct sockaddr *)&from, sizeof from))
        fail("bind: %s", strerror(errno));
    if (connect(made, (struct sockaddr *)&to, sizeof to))
        fail("connect: %s", strerror(errno));
    struct follower follower = {.socket = made, .tls = tls ? SSL_new(tls) : NULL};
    if (tls && (!follower.tls || !SSL_set_fd(follower.tls, made) || SSL_connect(follower.tls) != 1))
        fail("the TLS handshake failed");
    return follower;
}

/* Reads until `end` has come and the line it stands in is whole. */
static void await(struct follower *from, const char *end)
{
    size_t size = 0;
    struct timeval patience = {.tv_sec = PATIENCE};
    setsockopt(from->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    for (char *found = NULL; !found || room[size - 1] != '\n';) {
        ssize_t more = hear(from, room + size, sizeof room - 1 - size, 0);
        if (more <= 0)
            fail("instead of %s came: %.*s", end, (int)size, room);
        size += (size_t)more;
        room[size] = 0;
        found = strstr(room, end);
    }
    char *synced = strstr(room, "<<SYNCED|");
    if (synced)
        before = atol(strstr(synced, "|seq=") + 5);
}

static void follow(int number)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)number};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, followers[number].socket, &event))
        fail("epoll_ctl: %s", strerror(errno));
    if (wanted.secure)
        fcntl(followers[number].socket, F_SETFL, O_NONBLOCK);
}

/* From `first` to before `end`; those who never read are in no hurry to hear of anything. */
static void connect_some(int first, int end, int buffer)
{
    for (int i = first; i < end; i++) {
        followers[i] = dial(i, buffer);
        say(&followers[i], wanted.follow, strlen(wanted.follow));
    }
    for (int i = first; i < end; i++)
        await(&followers[i], wanted.followed);
}

static void connect_all(void)
{
    int all = wanted.followers + wanted.silent;
    for (int first = 0; first < all; first += BATCH) {
        int end = first + BATCH < all ? first + BATCH : all;
        int silent = end < wanted.followers ? end : wanted.followers;
        if (first < wanted.followers)
            connect_some(first, silent, 0);
        connect_some(first < silent ? silent : first, end, SMALL);
    }
    for (int i = 0; i < wanted.followers; i++)
        follow(i);
    publisher = dial(0, 0);
    say(&publisher, wanted.publish, strlen(wanted.publish));
    await(&publisher, wanted.ready);
    if (wanted.secure)
        fcntl(publisher.socket, F_SETFL, O_NONBLOCK);
}

/* Messages */

static int volume(long number)
{
    return (int)(number % 1000) + 1;
}

/* Notes what everybody is to be sent, where that is known, and returns what is published. */
static int make(char *to, size_t size, long number, double due)
{
    static long run;
    struct message *message = &ring[number % RING];
    char frame[TEXT / 2];
    if (!run)
        run = (long)time(NULL) * 100000 + getpid() % 100000;
    message->due = due;
    message->left = wanted.followers;
    message->size = 0;
    if (wanted.kind == MTNET)
        return snprintf(to, size, "<<PUBLISH|id=%ld-%ld|symbol=EURUSD|volume=%d|channel=main>>\r\n",
                        run, number, volume(number));
    int length = snprintf(frame, sizeof frame, "<<SIGNAL|channel=main|seq=%ld|symbol=EURUSD|"
                          "volume=%d|time=1700000000000>>\r\n", number + 1, volume(number));
    if (wanted.kind == FLOOR) {
        message->size = snprintf(message->text, TEXT, "%s", frame);
        return snprintf(to, size, "%s", frame);
    }
    if (wanted.kind == REDIS) {
        message->size = snprintf(message->text, TEXT, "*3\r\n$7\r\nmessage\r\n$1\r\ns\r\n$%d\r\n%s\r\n",
                                 length, frame);
        return snprintf(to, size, "*3\r\n$7\r\nPUBLISH\r\n$1\r\ns\r\n$%d\r\n%s\r\n", length, frame);
    }
    message->size = snprintf(message->text, TEXT, "MSG s 1 %d\r\n%s\r\n", length, frame);
    return snprintf(to, size, "PUB s %d\r\n%s\r\n", length, frame);
}

static void publish(long count, double due)
{
    static char text[WINDOW * TEXT];
    int size = 0;
    while (count-- > 0) {
        if (published - finished >= RING)
            fail("the server is %d messages behind", RING);
        size += make(text + size, sizeof text - (size_t)size, published++, due);
    }
    say(&publisher, text, (size_t)size);
}

/* The first follower that is sent a message of mtnet shows what the others must be sent. */
static bool learn(long number, const char *line, int size)
{
    char start[TEXT];
    struct message *message = &ring[number % RING];
    int length = snprintf(start, sizeof start, "<<SIGNAL|channel=main|seq=%ld|symbol=EURUSD|volume=%d|",
                          before + number + 1, volume(number));
    if (wanted.kind != MTNET || number >= published || message->size || size < length ||
        size > TEXT || memcmp(line, start, (size_t)length))
        return false;
    memcpy(message->text, line, (size_t)size);
    message->size = size;
    return true;
}

static void note(double delay)
{
    if (noted == space) {
        space = space ? 2 * space : 4096;
        delays = realloc(delays, (size_t)space * sizeof *delays);
        if (!delays)
            fail("no memory");
    }
    delays[noted++] = delay;
}

static void came(struct follower *follower)
{
    struct message *message = &ring[follower->next++ % RING];
    if (--message->left == 0) {
        note(now() - message->due);
        finished++;
    }
}

static void take_other(struct follower *follower, const char *line, int size)
{
    if (!memcmp(line, "<<PING", 6))
        say(follower, "<<PONG>>\r\n", 10);
    else if (!memcmp(line, "PING\r\n", 6))
        say(follower, "PONG\r\n", 6);
    else if (memcmp(line, "<<STATUS", 8))
        fail("message %ld should come, and there is: %.*s", follower->next, size, line);
}

/* Takes what is whole of `size` bytes; returns how many they were. */
static size_t take(struct follower *follower, const char *data, size_t size)
{
    size_t taken = 0;
    while (taken < size) {
        const char *line = data + taken;
        size_t left = size - taken;
        struct message *message = &ring[follower->next % RING];
        size_t length = follower->next < published ? (size_t)message->size : 0;
        if (length && left >= length && !memcmp(line, message->text, length)) {
            came(follower);
            taken += length;
            continue;
        }
        if (length && left < length && !memcmp(line, message->text, left))
            break;
        const char *end = memchr(line, '\n', left);
        if (!end)
            break;
        int whole = (int)(end + 1 - line);
        if (learn(follower->next, line, whole))
            continue;
        take_other(follower, line, whole);
        taken += (size_t)whole;
    }
    return taken;
}

static void read_follower(struct follower *follower)
{
    if (follower->kept)
        memcpy(room, follower->rest, follower->kept);
    ssize_t more = hear(follower, room + follower->kept, ROOM, MSG_DONTWAIT);
    if (more < 0 && errno == EAGAIN)
        return;
    if (more <= 0)
        fail("a follower was cut off");
    size_t size = follower->kept + (size_t)more;
    size_t taken = take(follower, room, size);
    follower->kept = size - taken;
    if (follower->kept > LINE)
        fail("a line does not end: %.100s", room + taken);
    if (follower->kept && !follower->rest)
        follower->rest = malloc(LINE);
    if (follower->kept)
        memcpy(follower->rest, room + taken, follower->kept);
}

static void read_publisher(void)
{
    ssize_t size = hear(&publisher, room, ROOM, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0)
        fail("the publisher was cut off");
    room[size] = 0;
    if (strstr(room, "<<ERROR") || strstr(room, "-ERR"))
        fail("the publisher was told: %s", room);
    if (strstr(room, "<<PING"))
        say(&publisher, "<<PONG>>\r\n", 10);
    else if (strstr(room, "PING\r\n"))
        say(&publisher, "PONG\r\n", 6);
}

/* The run */

/* A rate of 0 keeps `window` messages under way. */
static struct result visit(long window, double rate, double seconds)
{
    struct epoll_event events[EVENTS];
    long first = published;
    noted = 0;
    double used = cpu(wanted.process), start = now(), due = start, end = start;
    for (bool over = false; !over || finished < published; end = now()) {
        if (end > start + seconds + PATIENCE)
            fail("message %ld of %ld does not come", finished, published);
        for (; rate > 0 && due <= end && due < start + seconds; due += 1 / rate)
            publish(1, due);
        over = rate > 0 ? due >= start + seconds : end >= start + seconds;
        if (!over && rate == 0 && published - finished < window)
            publish(window - (published - finished), end);
        int count = epoll_wait(poller, events, EVENTS, 0);
        for (int i = 0; i < count; i++)
            read_follower(&followers[events[i].data.u32]);
        read_publisher();
    }
    return (struct result){published - first, end - start, cpu(wanted.process) - used};
}

static void report(const char *mode, long window, double rate)
{
    visit(window, rate, WARM);
    struct result result = visit(window, rate, wanted.seconds);
    sort(delays, noted);
    printf("{\"mode\": \"%s\", \"messages\": %ld, \"seconds\": %.6f, \"cpu\": %.9f, "
           "\"p50\": %.9f, \"p99\": %.9f}\n", mode, result.messages, result.seconds, result.cpu,
           delays[noted / 2], delays[noted * 99 / 100]);
    fflush(stdout);
}

static bool read_options(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "f:s:t:r:co:e:O:E:p:")) != -1;) {
        switch (option) {
        case 'f': wanted.followers = atoi(optarg); break;
        case 's': wanted.silent = atoi(optarg); break;
        case 'c': wanted.secure = true; break;
        case 't': wanted.seconds = atof(optarg); break;
        case 'r': wanted.rate = atof(optarg); break;
        case 'o': wanted.follow = optarg; break;
        case 'e': wanted.followed = optarg; break;
        case 'O': wanted.publish = optarg; break;
        case 'E': wanted.ready = optarg; break;
        case 'p': wanted.process = atoi(optarg); break;
        default: return false;
        }
    }
    if (optind != argc - 2)
        return false;
    const char *kind = argv[optind];
    wanted.kind = !strcmp(kind, "mtnet") ? MTNET : !strcmp(kind, "nats") ? NATS
                  : !strcmp(kind, "redis") ? REDIS : FLOOR;
    wanted.port = atoi(argv[optind + 1]);
    return wanted.port > 0 && wanted.port < 65536 && wanted.process > 0 && wanted.followers > 0 &&
           wanted.silent >= 0 && wanted.followers + wanted.silent <= 60000 && wanted.seconds > 0 && wanted.seconds <= 600 &&
           wanted.rate > 0 && wanted.follow && wanted.followed && wanted.publish && wanted.ready;
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    if (!read_options(argc, argv)) {
        fputs("usage: load [-f FOLLOWERS] [-s SILENT] [-t SECONDS] [-r RATE] [-c] -o FOLLOW -e END "
              "-O PUBLISH -E END -p PID KIND PORT\n", stderr);
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    followers = calloc((size_t)(wanted.followers + wanted.silent), sizeof *followers);
    tls = wanted.secure ? SSL_CTX_new(TLS_client_method()) : NULL;
    poller = epoll_create1(0);
    if (!followers || poller < 0 || (wanted.secure && !tls))
        fail("no memory");
    connect_all();
    report("one", 1, 0);
    report("burst", WINDOW, 0);
    report("open", 0, wanted.rate);
    return 0;
}
