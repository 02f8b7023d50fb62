// Native sockets over the system's and OpenSSL's, in the reference's behaviour:
// SocketRead waits up to its time-out and says -1 for it as for an error; SocketTlsRead waits until
// it is full; SocketTlsReadAvailable says 0 when there is nothing; an I/O error ends the
// connection. Environment, where the reference is silent:
//   ALLOW=host,host        the allow-list (Tools/Options/Expert Advisors); absent = all; else 4014
//   READABLE_SPECULATIVE=1 SocketIsReadable says 1 when nothing is there
//   CONNECTED_OPTIMISTIC=1 SocketIsConnected says true until a read or a write has failed
//   TLS_EMPTY=-1           SocketTlsReadAvailable says -1 when nothing is there
//   SENT_AT_MOST=n         SocketSend takes n bytes at most        SOCKETS=128 the limit
//   CA=file                whom a terminal trusts; absent = no certificate is verified
//   PROGRAM=indicator      every call fails with 4014
//   TLS_443=port           the port on which the terminal starts TLS by itself (443)
#include "mql5.hpp"
#include "terminal/clock.hpp"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <netinet/tcp.h>

namespace {
struct Socket {
    int fd = -1;
    SSL *ssl = nullptr;
    bool connected = false;
    uint send_ms = 0, receive_ms = 0;
};
} // namespace

static std::map<int, Socket> sockets;
static int next_socket = 1;

static Socket *get(int s) {
    if (getenv("PROGRAM") && !strcmp(getenv("PROGRAM"), "indicator")) {
        fail_(4014);
        return nullptr;
    }
    auto i = sockets.find(s);
    if (i == sockets.end()) {
        fail_(5270);
        return nullptr;
    }
    return &i->second;
}

static void shut(Socket *socket) {
    if (socket->ssl) {
        SSL_free(socket->ssl);
        socket->ssl = nullptr;
    }
    if (socket->fd >= 0)
        ::close(socket->fd);
    socket->fd = -1;
    socket->connected = false;
}

static int broke(Socket *socket) {
    shut(socket);
    last_error_ = 5273;
    return -1;
}

static bool wait(int fd, int what, double until) {
    for (;;) {
        double left = until - now_ms();
        pollfd p{fd, (short)what, 0};
        int r = ::poll(&p, 1, left < 0 ? 0 : (int)ceil(left));
        if (r > 0)
            return true;
        if (left <= 0)
            return false;
    }
}

static double within(uint ms) { return now_ms() + (ms ? real_ms(ms) : 1e9); }

int SocketCreate(uint) {
    if (getenv("PROGRAM") && !strcmp(getenv("PROGRAM"), "indicator"))
        return fail_(4014), INVALID_HANDLE;
    if ((int)sockets.size() >= (getenv("SOCKETS") ? atoi(getenv("SOCKETS")) : 128))
        return fail_(5271), INVALID_HANDLE;
    sockets[next_socket];
    return next_socket++;
}

bool SocketClose(int s) {
    Socket *socket = get(s);
    if (!socket)
        return false;
    if (socket->ssl)
        SSL_shutdown(socket->ssl);
    shut(socket);
    sockets.erase(s);
    return true;
}

bool SocketTimeouts(int s, uint a, uint b) {
    Socket *socket = get(s);
    if (!socket)
        return false;
    socket->send_ms = a;
    socket->receive_ms = b;
    return true;
}

static bool handshake(Socket *socket, const std::string &host) {
    static SSL_CTX *ctx = nullptr;
    if (!ctx) {
        ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
        if (getenv("CA")) {
            SSL_CTX_load_verify_locations(ctx, getenv("CA"), nullptr);
            SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
        }
    }
    socket->ssl = SSL_new(ctx);
    SSL_set_fd(socket->ssl, socket->fd);
    in_addr a;
    if (inet_pton(AF_INET, host.c_str(), &a) == 1)
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(socket->ssl), host.c_str());
    else {
        SSL_set_tlsext_host_name(socket->ssl, host.c_str());
        SSL_set1_host(socket->ssl, host.c_str());
    }
    double until = within(socket->receive_ms);
    for (;;) {
        int r = SSL_connect(socket->ssl);
        if (r == 1)
            return true;
        int e = SSL_get_error(socket->ssl, r);
        if ((e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) ||
            !wait(socket->fd, e == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until)) {
            ERR_clear_error();
            shut(socket);
            return fail_(5274);
        }
    }
}

bool SocketConnect(int s, const string &host, uint port, uint ms) {
    Socket *socket = get(s);
    if (!socket)
        return false;
    std::string h = host.utf8();
    if (const char *l = getenv("ALLOW")) {
        if (("," + std::string(l) + ",").find("," + h + ",") == std::string::npos)
            return fail_(4014);
    }
    addrinfo hint{}, *found = nullptr;
    hint.ai_socktype = SOCK_STREAM;
    hint.ai_family = AF_INET;
    if (getaddrinfo(h.c_str(), std::to_string(port).c_str(), &hint, &found))
        return fail_(5272);
    shut(socket);
    socket->fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(socket->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int r = ::connect(socket->fd, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    int e = r ? errno : 0;
    socklen_t l = sizeof e;
    if (r && errno == EINPROGRESS) {
        if (wait(socket->fd, POLLOUT, within(ms)))
            getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &e, &l);
        else
            e = ETIMEDOUT;
    }
    if (e) {
        shut(socket);
        return fail_(5272);
    }
    socket->connected = true;
    static uint self_tls = getenv("TLS_443") ? atoi(getenv("TLS_443")) : 443;
    return port != self_tls || handshake(socket, h) || fail_(5272);
}

bool SocketTlsHandshake(int s, const string &host) {
    Socket *socket = get(s);
    if (!socket)
        return false;
    return socket->connected && !socket->ssl ? handshake(socket, host.utf8()) : fail_(5274);
}

bool SocketIsConnected(int s) {
    Socket *socket = get(s);
    if (!socket)
        return false;
    if (socket->connected && !choice("CONNECTED_OPTIMISTIC")) {
        char c;
        ssize_t n = ::recv(socket->fd, &c, 1, MSG_PEEK);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
    }
    return socket->connected;
}

uint SocketIsReadable(int s) {
    Socket *socket = get(s);
    if (!socket || !socket->connected)
        return 0;
    int n = 0;
    if (ioctl(socket->fd, FIONREAD, &n) < 0) {
        broke(socket);
        return 0;
    }
    return n ? n : choice("READABLE_SPECULATIVE") ? 1 : 0;
}

bool SocketIsWritable(int s) {
    Socket *socket = get(s);
    return socket && socket->connected && wait(socket->fd, POLLOUT, now_ms());
}

static int taken(Array<uchar> &b, const uchar *from, int n) {
    if (b.n < n)
        b.resize_(n, 0);
    memcpy(b.p, from, std::min(n, b.n));
    return n;
}

int SocketRead(int s, Array<uchar> &b, uint n, uint ms) {
    Socket *socket = get(s);
    if (!socket)
        return -1;
    if (!socket->connected)
        return fail_(5273), -1;
    if (!wait(socket->fd, POLLIN, now_ms() + real_ms(ms ? ms : 120000)))
        return fail_(5273), -1; // the connection stays
    std::vector<uchar> t(n);
    ssize_t r = ::recv(socket->fd, t.data(), n, 0);
    if (r <= 0)
        return broke(socket);
    return taken(b, t.data(), (int)r);
}

int SocketSend(int s, const Array<uchar> &b, uint n) {
    Socket *socket = get(s);
    if (!socket)
        return -1;
    if (!socket->connected)
        return fail_(5273), -1;
    if ((int)n > b.n)
        return fail_(4003), -1;
    static uint most = getenv("SENT_AT_MOST") ? atoi(getenv("SENT_AT_MOST")) : 0;
    if (most && n > most)
        n = most;
    uint done = 0;
    double until = within(socket->send_ms);
    while (done < n) {
        ssize_t r = ::send(socket->fd, b.p + done, n - done, MSG_NOSIGNAL);
        if (r > 0)
            done += r;
        else if (errno != EAGAIN)
            return broke(socket);
        else if (!wait(socket->fd, POLLOUT, until))
            return done ? (int)done : broke(socket);
    }
    return (int)done;
}

// reads until n bytes, or (some) what is there; false = broken
static bool tls(Socket *socket, std::vector<uchar> &out, uint n, double until, bool some) {
    while (out.size() < n) {
        uchar t[16384];
        int r = SSL_read(socket->ssl, t, (int)std::min<size_t>(sizeof t, n - out.size()));
        if (r > 0) {
            out.insert(out.end(), t, t + r);
            continue;
        }
        int e = SSL_get_error(socket->ssl, r);
        ERR_clear_error();
        if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
            if (out.empty())
                return false;
            socket->connected = true;
            return true;
        }
        if (some || !wait(socket->fd, e == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until))
            return true;
    }
    return true;
}

int SocketTlsRead(int s, Array<uchar> &b, uint n) {
    Socket *socket = get(s);
    if (!socket)
        return -1;
    if (!socket->ssl)
        return fail_(5273), -1;
    std::vector<uchar> t;
    if (!tls(socket, t, n, within(socket->receive_ms), false))
        return broke(socket);
    if (t.empty())
        return fail_(5273), -1;
    return taken(b, t.data(), (int)t.size());
}

int SocketTlsReadAvailable(int s, Array<uchar> &b, uint n) {
    Socket *socket = get(s);
    if (!socket)
        return -1;
    if (!socket->ssl)
        return fail_(5273), -1;
    std::vector<uchar> t;
    if (!tls(socket, t, n, 0, true))
        return broke(socket);
    if (t.empty())
        return getenv("TLS_EMPTY") ? atoi(getenv("TLS_EMPTY")) : 0;
    return taken(b, t.data(), (int)t.size());
}

int SocketTlsSend(int s, const Array<uchar> &b, uint n) {
    Socket *socket = get(s);
    if (!socket)
        return -1;
    if (!socket->ssl)
        return fail_(5273), -1;
    if ((int)n > b.n)
        return fail_(4003), -1;
    double until = within(socket->send_ms);
    for (;;) {
        int r = SSL_write(socket->ssl, b.p, (int)n);
        if (r > 0)
            return r;
        int e = SSL_get_error(socket->ssl, r);
        ERR_clear_error();
        if ((e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) ||
            !wait(socket->fd, e == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until))
            return broke(socket);
    }
}

bool SocketTlsCertificate(int s, string &subject, string &issuer, string &serial, string &thumb,
                          datetime &until) {
    Socket *socket = get(s);
    if (!socket)
        return false;
    if (!socket->ssl)
        return fail_(5275);
    X509 *x = SSL_get1_peer_certificate(socket->ssl);
    if (!x)
        return fail_(5275);
    char b[512];
    X509_NAME_oneline(X509_get_subject_name(x), b, sizeof b);
    subject = string::utf8(b);
    X509_NAME_oneline(X509_get_issuer_name(x), b, sizeof b);
    issuer = string::utf8(b);
    BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), nullptr);
    char *h = BN_bn2hex(n);
    serial = string::utf8(h);
    OPENSSL_free(h);
    BN_free(n);
    uchar d[20];
    unsigned l = 0;
    X509_digest(x, EVP_sha1(), d, &l);
    std::string t;
    for (unsigned i = 0; i < l; i++) {
        snprintf(b, 4, "%02x", d[i]);
        t += b;
    }
    thumb = string::utf8(t);
    tm m;
    ASN1_TIME_to_tm(X509_get0_notAfter(x), &m);
    until = (long)timegm(&m);
    X509_free(x);
    return true;
}
