/*
 * load: sends ticks to a server on 127.0.0.1:PORT, and never more than it was told to.
 *
 *   load [-c TICKS | -t SECONDS] [-r RATE | -w BYTES] [-g] [-k RECORDS] [-s SOURCES] PORT
 *
 *   -c TICKS    stop after so many ticks (default 100000)
 *   -t SECONDS  stop after that time
 *   -r RATE     open loop: so many ticks a second in bursts of 1 ms, whatever becomes of them
 *   -w BYTES    keep the receiver's kernel queue filled up to BYTES and never fuller (default
 *               1 MiB): it is always busy and loses nothing, so its pace is what is measured
 *   -g          UDP_SEGMENT: 64 datagrams a call, so that the sender is not the bottleneck
 *   -k RECORDS  in one datagram (default 1). 1: "EURUSD 1.09876\0", the classic form. More:
 *               lines with ask, time and flags behind a numbered header "@@bSOURCE SEQ"
 *   -s SOURCES  send in turn from 127.0.0.1, 127.0.0.2, ... (default 1)
 *
 * It ends when the receiver's kernel queue is empty, and prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    POOL = 4096,        /* ticks that are made beforehand */
    MESSAGES = 64,      /* datagrams of one call; with UDP_SEGMENT the kernel takes no more */
    BURST = 4096,       /* datagrams between two looks at the clock */
    MAX_SOURCES = 250,  /* 127.0.0.1 to 127.0.0.250 */
    MAX_RECORDS = 180,  /* a datagram stays below 8 KiB */
    MAX_SECONDS = 600,  /* whatever was asked for */
    PATIENCE = 10,      /* seconds that a queue may take to move or to drain */
    LOOKS = 10,         /* at /proc/net/udp, before a receiver counts as gone */
    TICK_SIZE = 15,     /* "EURUSD 1.09876" and the NUL */
    LINE_SIZE = 43,     /* "EURUSD 1.14543 1.14545 - - 1549238400994 6\n" */
    TIME_AT = 27,       /* of the time in a line */
    TIME_SIZE = 13,
    DATAGRAM_SIZE = 8192,
};

#define BURST_SECONDS 0.001

static struct {
    int port;
    long ticks;
    double seconds, rate;
    long window;
    bool segments;
    int records, sources;
} wanted = {.ticks = 100000, .seconds = MAX_SECONDS, .window = 1 << 20, .records = 1, .sources = 1};

struct queue {
    long bytes, drops; /* of the receiving socket; bytes < 0: there is none */
};

static int sockets[MAX_SOURCES];
static unsigned long numbers[MAX_SOURCES]; /* of the last batch of each source */
static int source;                         /* whose turn it is */
static char ticks[POOL * TICK_SIZE + 1], lines[POOL * LINE_SIZE + 1];
static int position; /* in the pool */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void sleep_until(double due)
{
    struct timespec time = {.tv_sec = (time_t)due};
    time.tv_nsec = (long)((due - (double)time.tv_sec) * 1e9);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

/* What is sent */

static void fill_pool(void)
{
    static const char *names[] = {"EURUSD", "GBPUSD", "AUDUSD", "NZDUSD",
                                  "USDCHF", "USDCAD", "EURGBP", "EURCHF"};
    for (int i = 0; i < POOL; i++) {
        const char *name = names[i % 8];
        int bid = 100000 + i * 7919 % 99000;
        snprintf(ticks + i * TICK_SIZE, TICK_SIZE, "%s %.5f", name, bid / 1e5);
        snprintf(lines + i * LINE_SIZE, LINE_SIZE + 1, "%s %.5f %.5f - - %013d 6\n", name,
                 bid / 1e5, (bid + 2) / 1e5, 0);
    }
}

/* Returns the first of so many neighbours in the pool. */
static int take(int count)
{
    if (position + count > POOL)
        position = 0;
    int first = position;
    position += count;
    return first;
}

static size_t write_batch(char *to, int from, const char *time)
{
    int header = sprintf(to, "@@b%d %lu\n", from + 1, ++numbers[from]);
    char *line = to + header;
    memcpy(line, lines + take(wanted.records) * LINE_SIZE, (size_t)wanted.records * LINE_SIZE);
    for (int i = 0; i < wanted.records; i++, line += LINE_SIZE)
        memcpy(line + TIME_AT, time, TIME_SIZE);
    return (size_t)(line - to);
}

static void write_batches(struct iovec *parts, int count, int from)
{
    static char bytes[MESSAGES][DATAGRAM_SIZE];
    char time[32];
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    snprintf(time, sizeof time, "%013lld", wall.tv_sec * 1000LL + wall.tv_nsec / 1000000);
    for (int i = 0; i < count; i++)
        parts[i] = (struct iovec){bytes[i], write_batch(bytes[i], from, time)};
}

static void point_at_ticks(struct iovec *parts, int count)
{
    int first = take(count);
    for (int i = 0; i < count; i++)
        parts[i] = (struct iovec){ticks + (first + i) * TICK_SIZE, TICK_SIZE};
}

/* Sending */

static void send_segments(int to, int count)
{
    size_t size = (size_t)count * TICK_SIZE;
    if (send(to, ticks + take(count) * TICK_SIZE, size, 0) != (ssize_t)size)
        fail("send");
}

static void send_messages(int to, int from, int count)
{
    struct iovec parts[MESSAGES];
    struct mmsghdr messages[MESSAGES];
    if (wanted.records == 1)
        point_at_ticks(parts, count);
    else
        write_batches(parts, count, from);
    for (int i = 0; i < count; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    for (int sent = 0; sent < count;) {
        int more = sendmmsg(to, messages + sent, (unsigned)(count - sent), 0);
        if (more < 0)
            fail("sendmmsg");
        sent += more;
    }
}

static void send_some(int to, int from, int count)
{
    if (wanted.segments)
        send_segments(to, count);
    else
        send_messages(to, from, count);
}

static long smaller(long a, long b)
{
    return a < b ? a : b;
}

/* Every source sends its share of a burst, so one burst comes from as many of them as it can. */
static void send_burst(long count)
{
    long share = count / wanted.sources;
    share = share < 1 ? 1 : smaller(share, MESSAGES);
    while (count > 0) {
        int some = (int)smaller(share, count);
        send_some(sockets[source], source, some);
        source = (source + 1) % wanted.sources;
        count -= some;
    }
}

static int open_source(int number, const struct sockaddr_in *to)
{
    struct sockaddr_in from = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)number),
    };
    int size = TICK_SIZE;
    int opened = socket(AF_INET, SOCK_DGRAM, 0);
    if (opened < 0)
        fail("socket");
    if (bind(opened, (struct sockaddr *)&from, sizeof from))
        fail("bind");
    if (connect(opened, (const struct sockaddr *)to, sizeof *to))
        fail("connect");
    if (wanted.segments && setsockopt(opened, SOL_UDP, UDP_SEGMENT, &size, sizeof size))
        fail("UDP_SEGMENT");
    return opened;
}

static void open_sources(void)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)wanted.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    for (int i = 0; i < wanted.sources; i++)
        sockets[i] = open_source(i, &to);
}

/* The receiver's kernel queue */

static bool read_row(const char *row, struct queue *queue)
{
    unsigned port, peer, bytes;
    long drops;
    int found = sscanf(row, " %*d: %*x:%x %*x:%x %*x %*x:%x %*x:%*x %*x %*d %*d %*d %*d %*s %ld",
                       &port, &peer, &bytes, &drops);
    *queue = (struct queue){bytes, drops};
    /* A connected socket with the same port would be a sender's. */
    return found == 4 && port == (unsigned)wanted.port && peer == 0;
}

static struct queue look(void)
{
    struct queue queue;
    char row[256];
    bool found = false;
    /* Opened anew each time: a stream that is rewound gives what it has read before. */
    FILE *table = fopen("/proc/net/udp", "r");
    if (!table)
        fail("/proc/net/udp");
    while (!found && fgets(row, sizeof row, table))
        found = read_row(row, &queue);
    fclose(table);
    return found ? queue : (struct queue){-1, 0};
}

/*
 * Read in pieces, the table may miss a row when another socket goes away between two of them: a
 * receiver is gone only if it is missing again and again.
 */
static struct queue look_at_receiver(void)
{
    for (int i = 0; i < LOOKS; i++) {
        struct queue queue = look();
        if (queue.bytes >= 0)
            return queue;
    }
    fprintf(stderr, "load: nobody listens on UDP port %d\n", wanted.port);
    exit(1);
}

/*
 * The kernel charges a queue with the memory of a datagram, several times its text, and the sum
 * depends on kernel and way of sending: it is measured on a socket that nobody reads.
 */
static long measure_charge(void)
{
    uint32_t memory[SK_MEMINFO_VARS];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address, size = sizeof memory;
    int unread = socket(AF_INET, SOCK_DGRAM, 0);
    if (unread < 0 || bind(unread, (struct sockaddr *)&address, sizeof address))
        fail("bind");
    if (getsockname(unread, (struct sockaddr *)&address, &length))
        fail("getsockname");
    int sender = open_source(0, &address);
    int count = wanted.segments ? MESSAGES : 1;
    send_some(sender, 0, count);
    if (getsockopt(unread, SOL_SOCKET, SO_MEMINFO, memory, &size))
        fail("SO_MEMINFO");
    close(sender);
    close(unread);
    numbers[0] = 0;
    return (long)memory[SK_MEMINFO_RMEM_ALLOC] / count + 1;
}

/* The run */

static long datagrams_wanted(void)
{
    return wanted.ticks / wanted.records + (wanted.ticks % wanted.records > 0);
}

static long room(long charge)
{
    return (wanted.window - look_at_receiver().bytes) / charge;
}

static long run_open_loop(double start, double *late)
{
    long most = datagrams_wanted(), sent = 0;
    double pace = wanted.rate / wanted.records, elapsed = 0;
    while (sent < most && elapsed < wanted.seconds) {
        long count = (long)(elapsed * pace) - sent;
        if (count > 0) {
            if (elapsed - (double)sent / pace > *late)
                *late = elapsed - (double)sent / pace;
            count = smaller(smaller(count, most - sent), BURST);
            send_burst(count);
            sent += count;
        } else {
            sleep_until(start + elapsed + BURST_SECONDS);
        }
        elapsed = now() - start;
    }
    return sent;
}

static long run_window(double start, long charge)
{
    long most = datagrams_wanted(), sent = 0;
    double moved = start;
    for (double time = start; sent < most && time - start < wanted.seconds; time = now()) {
        long count = smaller(smaller(room(charge), most - sent), BURST);
        if (count > 0) {
            send_burst(count);
            sent += count;
            moved = time;
        } else if (time - moved > PATIENCE) {
            break;
        }
    }
    return sent;
}

static struct queue drain(void)
{
    double until = now() + PATIENCE;
    struct queue queue = look_at_receiver();
    while (queue.bytes > 0 && now() < until) {
        usleep(1000);
        queue = look_at_receiver();
    }
    return queue;
}

static void run(void)
{
    long charge = measure_charge();
    struct queue before = look_at_receiver();
    double late = 0, start = now();
    long sent = wanted.rate > 0 ? run_open_loop(start, &late) : run_window(start, charge);
    double seconds = now() - start;
    struct queue after = drain();
    printf("{\"sent\": %ld, \"datagrams\": %ld, \"start\": %.6f, \"seconds\": %.6f, "
           "\"rate\": %.0f, \"late\": %.6f, \"drops\": %ld, \"waiting\": %ld}\n",
           sent * wanted.records, sent, start, seconds, (double)(sent * wanted.records) / seconds,
           late, after.drops - before.drops, after.bytes);
}

static bool read_options(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "c:t:r:w:gk:s:")) != -1;) {
        switch (option) {
        case 'c': wanted.ticks = atol(optarg); break;
        case 't': wanted.seconds = atof(optarg), wanted.ticks = LONG_MAX; break;
        case 'r': wanted.rate = atof(optarg); break;
        case 'w': wanted.window = atol(optarg); break;
        case 'g': wanted.segments = true; break;
        case 'k': wanted.records = atoi(optarg); break;
        case 's': wanted.sources = atoi(optarg); break;
        default: return false;
        }
    }
    if (optind != argc - 1)
        return false;
    wanted.port = atoi(argv[optind]);
    return wanted.port > 0 && wanted.port < 65536 && wanted.ticks > 0 && wanted.rate >= 0 &&
           wanted.seconds > 0 && wanted.seconds <= MAX_SECONDS && wanted.window > 0 &&
           wanted.records >= 1 && wanted.records <= MAX_RECORDS && wanted.sources >= 1 &&
           wanted.sources <= MAX_SOURCES && !(wanted.segments && wanted.records > 1);
}

int main(int argc, char **argv)
{
    if (!read_options(argc, argv)) {
        fputs("usage: load [-c TICKS | -t SECONDS] [-r RATE | -w BYTES] [-g] [-k RECORDS] "
              "[-s SOURCES] PORT\n", stderr);
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 1); /* bursts come when they are due, not 50 us later */
    fill_pool();
    open_sources();
    run();
    return 0;
}
