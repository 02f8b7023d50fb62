// Functions of Ws2_32.dll over the system's sockets, for programs that import them. An address is
// what it is in both worlds: two bytes of family, the port and the address in network order.
// What needs a number of Windows gets one: the error codes, and the request of ioctlsocket.
#include "mql5.hpp"
#include <arpa/inet.h>
#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#undef htons
#undef ntohs

static const int ADDRESS_SIZE = sizeof(sockaddr_in);
static const uint INVALID_SOCKET = ~0u;
static const int SOCKET_ERROR = -1;
static const int FIONBIO = (int)0x8004667E;
static const int WSAEINVAL = 10022;
static const std::map<int, int> WINDOWS_ERRORS{
    {EAGAIN, 10035},     {EINPROGRESS, 10035}, {EBADF, 10038},        {EADDRINUSE, 10048},
    {ECONNRESET, 10054}, {EISCONN, 10056},     {ENOTCONN, 10057},     {EPIPE, 10058},
    {ETIMEDOUT, 10060},  {ECONNREFUSED, 10061}, {EHOSTUNREACH, 10065}};

static sockaddr *address(const Memory &memory) { return (sockaddr *)memory.bytes; }

// A program may say that its address is longer than one of IPv4.
static socklen_t length(const Memory &memory) {
    return (socklen_t)std::min<size_t>(memory.size, ADDRESS_SIZE);
}

namespace dll {
int WSAStartup(ushort, Memory) { return 0; }

int WSACleanup() { return 0; }

int WSAGetLastError() {
    auto found = WINDOWS_ERRORS.find(errno);
    return found == WINDOWS_ERRORS.end() ? WSAEINVAL : found->second;
}

ushort htons(ushort number) { return __builtin_bswap16(number); }

ushort ntohs(ushort number) { return __builtin_bswap16(number); }

ulong inet_addr(Memory text) { return ::inet_addr(text.bytes); }

string inet_ntop(int family, ulong &from, Memory text, uint size) {
    const char *found = ::inet_ntop(family, &from, text.bytes, size);
    return string::utf8(found ? found : "");
}

uint socket(int family, int type, int protocol) {
    int made = ::socket(family, type | SOCK_CLOEXEC, protocol);
    return made < 0 ? INVALID_SOCKET : (uint)made;
}

int ioctlsocket(uint socket, int request, int &argument) {
    if (request != FIONBIO)
        return SOCKET_ERROR;
    int flags = fcntl((int)socket, F_GETFL);
    return fcntl((int)socket, F_SETFL, argument ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

// A terminal binds a port again that closed connections of an earlier run still occupy.
int bind(uint socket, Memory name, int) {
    int yes = 1;
    setsockopt((int)socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    return ::bind((int)socket, address(name), length(name));
}

int listen(uint socket, int backlog) { return ::listen((int)socket, backlog); }

uint accept(uint socket, Memory name, int &) {
    socklen_t size = length(name);
    int made = ::accept((int)socket, address(name), &size);
    return made < 0 ? INVALID_SOCKET : (uint)made;
}

int connect(uint socket, Memory name, int) {
    return ::connect((int)socket, address(name), length(name));
}

int send(uint socket, Memory bytes, int size, int flags) {
    return (int)::send((int)socket, bytes.bytes, (size_t)size, flags | MSG_NOSIGNAL);
}

int recv(uint socket, Memory bytes, int size, int flags) {
    return (int)::recv((int)socket, bytes.bytes, (size_t)size, flags);
}

int sendto(uint socket, Memory bytes, int size, int flags, Memory to, int) {
    return (int)::sendto((int)socket, bytes.bytes, (size_t)size, flags | MSG_NOSIGNAL, address(to),
                         length(to));
}

int recvfrom(uint socket, Memory bytes, int size, int flags, Memory from, int &) {
    socklen_t length_of_name = length(from);
    return (int)::recvfrom((int)socket, bytes.bytes, (size_t)size, flags, address(from),
                           &length_of_name);
}

int shutdown(uint socket, int how) { return ::shutdown((int)socket, how); }

int closesocket(uint socket) { return ::close((int)socket); }
} // namespace dll
