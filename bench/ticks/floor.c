/*
 * floor: the least that a tick server can do, as a measure for mtnet's.
 *
 *   floor -f FILE [-m COUNTS] PORT
 *
 * One thread hears UDP datagrams on 127.0.0.1:PORT, checks each record, and appends records of
 * 24 bytes to FILE. Counts are kept in COUNTS, a file that others map or read: asking for them
 * costs this process nothing. SIGTERM stores what waits, and prints the counts as a line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
    DATAGRAMS = 256,    /* taken from the kernel with one call */
    DATAGRAM_SIZE = 8192,
    BLOCK = 4096,       /* records written with one call */
    BUCKETS = 4096,     /* of the symbol table, a power of two */
    SYMBOL_SIZE = 24,
    DIGITS = 15,        /* of a number; more may not fit in 64 bits */
    IDLE_US = 20000,    /* silence after which a block that is not full is written */
    RECEIVE_BUFFER = 4 << 20,
};

struct record {
    int64_t time; /* milliseconds since 1970 */
    int64_t bid;  /* without its point */
    uint32_t symbol;
    uint32_t decimals; /* of the bid */
};
_Static_assert(sizeof(struct record) == 24, "a record has no padding");

struct counts {
    uint64_t received, stored, refused;
};

struct symbol {
    char name[SYMBOL_SIZE];
    uint32_t size; /* 0: the bucket is free */
    uint32_t id;
};

static struct symbol symbols[BUCKETS];
static uint32_t known;
static struct record block[BLOCK];
static size_t filled;
static struct counts *counts;
static int file = -1;
static volatile sig_atomic_t ending;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void store(void)
{
    const char *from = (const char *)block;
    size_t size = filled * sizeof *block;
    while (size > 0) {
        ssize_t written = write(file, from, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            fail("write");
        from += written;
        size -= (size_t)written;
    }
    counts->stored += filled;
    filled = 0;
}

static bool find_symbol(const char *name, size_t size, uint32_t *id)
{
    if (size == 0 || size > SYMBOL_SIZE)
        return false;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    for (uint32_t at = hash & (BUCKETS - 1);; at = (at + 1) & (BUCKETS - 1)) {
        struct symbol *found = &symbols[at];
        if (found->size == size && memcmp(found->name, name, size) == 0) {
            *id = found->id;
            return true;
        }
        if (found->size > 0)
            continue;
        if (known == BUCKETS / 2) /* a fuller table is slow, and a full one never ends */
            return false;
        memcpy(found->name, name, size);
        found->size = (uint32_t)size;
        *id = found->id = known++;
        return true;
    }
}

static bool read_number(const char *at, const char *end, int64_t *number, uint32_t *decimals)
{
    int digits = 0;
    bool point = false;
    *number = 0;
    *decimals = 0;
    for (; at < end; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        if (digit < 10 && digits < DIGITS) {
            *number = *number * 10 + digit;
            *decimals += point;
            digits++;
        } else if (*at == '.' && !point && digits > 0) {
            point = true;
        } else {
            return false;
        }
    }
    return digits > 0;
}

static bool read_whole(const char *at, const char *end, int64_t *number)
{
    uint32_t decimals;
    return read_number(at, end, number, &decimals) && decimals == 0;
}

/* The fields of a record lie between blanks; returns how many there are, 0 for too many. */
static size_t split(const char *at, const char *end, const char **from, const char **to, size_t most)
{
    for (size_t count = 0; count < most; count++) {
        const char *blank = memchr(at, ' ', (size_t)(end - at));
        from[count] = at;
        to[count] = blank ? blank : end;
        if (!blank)
            return count + 1;
        at = blank + 1;
    }
    return 0;
}

/* Ask, last price and volume may be missing: "-". */
static bool read_optional(const char *at, const char *end)
{
    int64_t number;
    uint32_t decimals;
    return (end - at == 1 && *at == '-') || read_number(at, end, &number, &decimals);
}

/* SYMBOL BID, or SYMBOL BID ASK LAST VOLUME TIME FLAGS */
static bool read_record(const char *at, const char *end, int64_t now, struct record *record)
{
    enum { SYMBOL, BID, ASK, LAST, VOLUME, TIME, FLAGS, FIELDS };
    const char *from[FIELDS], *to[FIELDS];
    int64_t flags;
    size_t fields = split(at, end, from, to, FIELDS);
    if (fields != BID + 1 && fields != FIELDS)
        return false;
    if (!read_number(from[BID], to[BID], &record->bid, &record->decimals))
        return false;
    record->time = now;
    if (fields == FIELDS) {
        for (size_t i = ASK; i <= VOLUME; i++)
            if (!read_optional(from[i], to[i]))
                return false;
        if (!read_whole(from[TIME], to[TIME], &record->time))
            return false;
        if (!read_whole(from[FLAGS], to[FLAGS], &flags))
            return false;
    }
    return find_symbol(from[SYMBOL], (size_t)(to[SYMBOL] - from[SYMBOL]), &record->symbol);
}

static void hear_record(const char *at, const char *end, int64_t now)
{
    counts->received++;
    if (!read_record(at, end, now, &block[filled])) {
        counts->refused++;
        return;
    }
    if (++filled == BLOCK)
        store();
}

static bool is_header(const char *at, const char *end)
{
    const char *blank = memchr(at, ' ', (size_t)(end - at));
    int64_t number;
    return blank && blank > at + 1 && read_whole(blank + 1, end, &number);
}

static void hear(const char *at, size_t size, int64_t now)
{
    const char *end = memchr(at, 0, size); /* behind a NUL lies the sender's old buffer */
    if (!end)
        end = at + size;
    for (bool first = true; at < end; first = false) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        if (!line)
            line = end;
        if (!first || *at != '@' || !is_header(at, line))
            hear_record(at, line, now);
        at = line + 1;
    }
}

static void end(int number)
{
    (void)number;
    ending = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = end}; /* no SA_RESTART: recvmmsg shall return */
    if (sigaction(SIGTERM, &action, NULL) || sigaction(SIGINT, &action, NULL))
        fail("sigaction");
}

static int listen_on(int port)
{
    /* The time-out stays on when nothing waits: it bounds how late a signal is seen too. */
    struct timeval idle = {.tv_usec = IDLE_US};
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int size = RECEIVE_BUFFER;
    int heard = socket(AF_INET, SOCK_DGRAM, 0);
    if (heard < 0)
        fail("socket");
    if (setsockopt(heard, SOL_SOCKET, SO_RCVBUF, &size, sizeof size))
        fail("SO_RCVBUF");
    if (setsockopt(heard, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle))
        fail("SO_RCVTIMEO");
    if (bind(heard, (struct sockaddr *)&address, sizeof address))
        fail("bind");
    return heard;
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void serve(int heard)
{
    static char bytes[DATAGRAMS][DATAGRAM_SIZE];
    static struct iovec parts[DATAGRAMS];
    static struct mmsghdr datagrams[DATAGRAMS];
    for (int i = 0; i < DATAGRAMS; i++) {
        parts[i] = (struct iovec){bytes[i], DATAGRAM_SIZE};
        datagrams[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    while (!ending) {
        int taken = recvmmsg(heard, datagrams, DATAGRAMS, MSG_WAITFORONE, NULL);
        if (taken < 0 && errno != EAGAIN && errno != EINTR)
            fail("recvmmsg");
        if (taken < 0) {
            store();
            continue;
        }
        int64_t now = milliseconds();
        for (int i = 0; i < taken; i++)
            hear(bytes[i], datagrams[i].msg_len, now);
    }
    store();
}

static struct counts *share_counts(const char *path)
{
    int flags = MAP_SHARED | (path ? 0 : MAP_ANONYMOUS);
    int shared = path ? open(path, O_CREAT | O_TRUNC | O_RDWR, 0644) : -1;
    if (path && (shared < 0 || ftruncate(shared, sizeof(struct counts))))
        fail(path);
    void *mapped = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, flags, shared, 0);
    if (mapped == MAP_FAILED)
        fail("mmap");
    return mapped;
}

static int usage(void)
{
    fputs("usage: floor -f FILE [-m COUNTS] PORT\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    const char *path = NULL, *shared = NULL;
    for (int option; (option = getopt(argc, argv, "f:m:")) != -1;) {
        if (option == 'f')
            path = optarg;
        else if (option == 'm')
            shared = optarg;
        else
            return usage();
    }
    if (!path || optind != argc - 1)
        return usage();
    catch_signals();
    counts = share_counts(shared);
    file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    if (file < 0)
        fail(path);
    serve(listen_on(atoi(argv[optind])));
    printf("{\"received\": %" PRIu64 ", \"stored\": %" PRIu64 ", \"refused\": %" PRIu64 "}\n",
           counts->received, counts->stored, counts->refused);
    return 0;
}
