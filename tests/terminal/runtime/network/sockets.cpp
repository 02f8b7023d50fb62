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
enum Error {
    TOO_SMALL_ARRAY = 4003,
    NOT_ALLOWED = 4014,
    INVALID_SOCKET = 5270,
    TOO_MANY_SOCKETS = 5271,
    CANNOT_CONNECT = 5272,
    IO_ERROR = 5273,
    HANDSHAKE_FAILED = 5274,
    NO_CERTIFICATE = 5275
};

const int MOST_SOCKETS = 128;
const int DEFAULT_READ_MS = 120000;
const double FOR_EVER_MS = 1e9;
const size_t TLS_RECORD = 16384;
const int SHA1_SIZE = 20;

struct Socket {
    int descriptor = -1;
    SSL *ssl = nullptr;
    bool connected = false;
    uint send_ms = 0, receive_ms = 0;
};

std::map<int, Socket> sockets;
int next_handle = 1;

int number(const char *variable, int otherwise) {
    const char *text = getenv(variable);
    return text ? atoi(text) : otherwise;
}

bool is_indicator() {
    const char *kind = getenv("PROGRAM");
    return kind && !strcmp(kind, "indicator");
}

bool is_allowed(const std::string &host) {
    const char *hosts = getenv("ALLOW");
    return !hosts || ("," + std::string(hosts) + ",").find("," + host + ",") != std::string::npos;
}

Socket *find(int handle) {
    auto found = sockets.find(handle);
    if (found != sockets.end() && !is_indicator())
        return &found->second;
    fail_(is_indicator() ? NOT_ALLOWED : INVALID_SOCKET);
    return nullptr;
}

void shut(Socket &socket) {
    if (socket.ssl)
        SSL_free(socket.ssl);
    if (socket.descriptor >= 0)
        close(socket.descriptor);
    socket.ssl = nullptr;
    socket.descriptor = -1;
    socket.connected = false;
}

int broken(Socket &socket) {
    shut(socket);
    return fail_(IO_ERROR), -1;
}

// ---- waiting; 0 ms of a program = without limit
double deadline(uint ms) { return now_ms() + (ms ? real_ms(ms) : FOR_EVER_MS); }

bool wait(const Socket &socket, short event, double until) {
    for (;;) {
        double left = until - now_ms();
        pollfd polled{socket.descriptor, event, 0};
        if (poll(&polled, 1, left < 0 ? 0 : (int)ceil(left)) > 0)
            return true;
        if (left <= 0)
            return false;
    }
}

// What OpenSSL waits for after a call that did not succeed; 0 = it has failed.
short wanted(const Socket &socket, int result) {
    int error = SSL_get_error(socket.ssl, result);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ)
        return POLLIN;
    return error == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
}

// ---- connecting
SSL_CTX *make_context() {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    if (const char *authority = getenv("CA")) {
        SSL_CTX_load_verify_locations(context, authority, nullptr);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    }
    return context;
}

void expect_name(SSL *ssl, const std::string &host) {
    in_addr address;
    if (inet_pton(AF_INET, host.c_str(), &address) == 1) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str());
        return;
    }
    SSL_set_tlsext_host_name(ssl, host.c_str());
    SSL_set1_host(ssl, host.c_str());
}

bool handshake(Socket &socket, const std::string &host) {
    static SSL_CTX *context = make_context();
    socket.ssl = SSL_new(context);
    SSL_set_fd(socket.ssl, socket.descriptor);
    expect_name(socket.ssl, host);
    double until = deadline(socket.receive_ms);
    for (;;) {
        int result = SSL_connect(socket.ssl);
        if (result == 1)
            return true;
        short event = wanted(socket, result);
        if (!event || !wait(socket, event, until)) {
            shut(socket);
            return fail_(HANDSHAKE_FAILED);
        }
    }
}

// Returns 0 or an error of the system.
int connected_within(Socket &socket, const addrinfo &to, uint ms) {
    socket.descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1;
    setsockopt(socket.descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(socket.descriptor, to.ai_addr, to.ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    if (!wait(socket, POLLOUT, deadline(ms)))
        return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(socket.descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

bool dial(Socket &socket, const std::string &host, uint port, uint ms) {
    addrinfo hint{}, *found = nullptr;
    hint.ai_socktype = SOCK_STREAM;
    hint.ai_family = AF_INET;
    if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hint, &found))
        return false;
    shut(socket);
    socket.connected = connected_within(socket, *found, ms) == 0;
    freeaddrinfo(found);
    if (!socket.connected)
        shut(socket);
    return socket.connected;
}

// ---- reading
// An array grows when it is too small, and never shrinks.
int give(Array<uchar> &buffer, const std::vector<uchar> &bytes) {
    int size = (int)bytes.size();
    if (buffer.n < size)
        buffer.resize_(size, 0);
    memcpy(buffer.p, bytes.data(), (size_t)std::min(size, buffer.n));
    return size;
}

// Appends up to `most` bytes, waiting for them until the deadline; false = the connection is
// broken and brought nothing.
bool read_tls(Socket &socket, std::vector<uchar> &bytes, uint most, double until) {
    while (bytes.size() < most) {
        uchar piece[TLS_RECORD];
        int size = SSL_read(socket.ssl, piece, (int)std::min(TLS_RECORD, most - bytes.size()));
        if (size > 0) {
            bytes.insert(bytes.end(), piece, piece + size);
            continue;
        }
        short event = wanted(socket, size);
        if (!event)
            return !bytes.empty();
        if (!wait(socket, event, until))
            return true;
    }
    return true;
}

// ---- the certificate
string name_of(X509_NAME *name) {
    char text[512];
    X509_NAME_oneline(name, text, sizeof text);
    return string::utf8(text);
}

string serial_of(X509 *certificate) {
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
    char *text = BN_bn2hex(number);
    string serial = string::utf8(text);
    OPENSSL_free(text);
    BN_free(number);
    return serial;
}

string thumbprint_of(X509 *certificate) {
    uchar digest[SHA1_SIZE];
    X509_digest(certificate, EVP_sha1(), digest, nullptr);
    std::string text;
    for (uchar each : digest) {
        char pair[3];
        snprintf(pair, sizeof pair, "%02x", each);
        text += pair;
    }
    return string::utf8(text);
}

datetime end_of(X509 *certificate) {
    tm end;
    ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end);
    return (long)timegm(&end);
}
} // namespace

// ---- the functions of the reference
int SocketCreate(uint) {
    if (is_indicator())
        return fail_(NOT_ALLOWED), INVALID_HANDLE;
    if ((int)sockets.size() >= number("SOCKETS", MOST_SOCKETS))
        return fail_(TOO_MANY_SOCKETS), INVALID_HANDLE;
    sockets[next_handle];
    return next_handle++;
}

bool SocketClose(int handle) {
    Socket *socket = find(handle);
    if (!socket)
        return false;
    if (socket->ssl)
        SSL_shutdown(socket->ssl);
    shut(*socket);
    sockets.erase(handle);
    return true;
}

bool SocketTimeouts(int handle, uint send_ms, uint receive_ms) {
    Socket *socket = find(handle);
    if (!socket)
        return false;
    socket->send_ms = send_ms;
    socket->receive_ms = receive_ms;
    return true;
}

bool SocketConnect(int handle, const string &name, uint port, uint ms) {
    static uint secure_port = (uint)number("TLS_443", 443);
    Socket *socket = find(handle);
    if (!socket)
        return false;
    std::string host = name.utf8();
    if (!is_allowed(host))
        return fail_(NOT_ALLOWED);
    bool done = dial(*socket, host, port, ms) && (port != secure_port || handshake(*socket, host));
    return done || fail_(CANNOT_CONNECT);
}

bool SocketTlsHandshake(int handle, const string &host) {
    Socket *socket = find(handle);
    if (!socket)
        return false;
    bool plain = socket->connected && !socket->ssl;
    return plain ? handshake(*socket, host.utf8()) : fail_(HANDSHAKE_FAILED);
}

bool SocketIsConnected(int handle) {
    Socket *socket = find(handle);
    if (!socket || !socket->connected || choice("CONNECTED_OPTIMISTIC"))
        return socket && socket->connected;
    char byte;
    ssize_t size = recv(socket->descriptor, &byte, 1, MSG_PEEK);
    return size > 0 || (size < 0 && errno == EAGAIN);
}

uint SocketIsReadable(int handle) {
    Socket *socket = find(handle);
    int size = 0;
    if (!socket || !socket->connected)
        return 0;
    if (ioctl(socket->descriptor, FIONREAD, &size) < 0)
        broken(*socket);
    return size > 0 ? (uint)size : choice("READABLE_SPECULATIVE");
}

bool SocketIsWritable(int handle) {
    Socket *socket = find(handle);
    return socket && socket->connected && wait(*socket, POLLOUT, now_ms());
}

int SocketRead(int handle, Array<uchar> &buffer, uint most, uint ms) {
    Socket *socket = find(handle);
    if (!socket)
        return -1;
    if (!socket->connected || !wait(*socket, POLLIN, deadline(ms ? ms : DEFAULT_READ_MS)))
        return fail_(IO_ERROR), -1; // after a time-out the connection stays
    std::vector<uchar> bytes(most);
    ssize_t size = recv(socket->descriptor, bytes.data(), most, 0);
    if (size <= 0)
        return broken(*socket);
    bytes.resize((size_t)size);
    return give(buffer, bytes);
}

int SocketSend(int handle, const Array<uchar> &buffer, uint size) {
    static uint most = (uint)number("SENT_AT_MOST", INT32_MAX);
    Socket *socket = find(handle);
    if (!socket)
        return -1;
    if (!socket->connected || (int)size > buffer.n)
        return fail_(socket->connected ? TOO_SMALL_ARRAY : IO_ERROR), -1;
    size = std::min(size, most);
    uint done = 0;
    double until = deadline(socket->send_ms);
    while (done < size) {
        ssize_t sent = send(socket->descriptor, buffer.p + done, size - done, MSG_NOSIGNAL);
        if (sent > 0)
            done += (uint)sent;
        else if (errno != EAGAIN)
            return broken(*socket);
        else if (!wait(*socket, POLLOUT, until))
            return done ? (int)done : broken(*socket);
    }
    return (int)done;
}

int SocketTlsRead(int handle, Array<uchar> &buffer, uint most) {
    Socket *socket = find(handle);
    if (!socket)
        return -1;
    if (!socket->ssl)
        return fail_(IO_ERROR), -1;
    std::vector<uchar> bytes;
    if (!read_tls(*socket, bytes, most, deadline(socket->receive_ms)))
        return broken(*socket);
    return bytes.empty() ? (fail_(IO_ERROR), -1) : give(buffer, bytes);
}

int SocketTlsReadAvailable(int handle, Array<uchar> &buffer, uint most) {
    Socket *socket = find(handle);
    if (!socket)
        return -1;
    if (!socket->ssl)
        return fail_(IO_ERROR), -1;
    std::vector<uchar> bytes;
    if (!read_tls(*socket, bytes, most, 0))
        return broken(*socket);
    return bytes.empty() ? number("TLS_EMPTY", 0) : give(buffer, bytes);
}

int SocketTlsSend(int handle, const Array<uchar> &buffer, uint size) {
    Socket *socket = find(handle);
    if (!socket)
        return -1;
    if (!socket->ssl || (int)size > buffer.n)
        return fail_(socket->ssl ? TOO_SMALL_ARRAY : IO_ERROR), -1;
    double until = deadline(socket->send_ms);
    for (;;) {
        int sent = SSL_write(socket->ssl, buffer.p, (int)size);
        if (sent > 0)
            return sent;
        short event = wanted(*socket, sent);
        if (!event || !wait(*socket, event, until))
            return broken(*socket);
    }
}

bool SocketTlsCertificate(int handle, string &subject, string &issuer, string &serial,
                          string &thumbprint, datetime &expires) {
    Socket *socket = find(handle);
    if (!socket)
        return false;
    X509 *certificate = socket->ssl ? SSL_get1_peer_certificate(socket->ssl) : nullptr;
    if (!certificate)
        return fail_(NO_CERTIFICATE);
    subject = name_of(X509_get_subject_name(certificate));
    issuer = name_of(X509_get_issuer_name(certificate));
    serial = serial_of(certificate);
    thumbprint = thumbprint_of(certificate);
    expires = end_of(certificate);
    X509_free(certificate);
    return true;
}
