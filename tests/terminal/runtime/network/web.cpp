// WebRequest: real HTTP/1.1, one connection a request, over the native sockets. It follows
// redirects and says -1 with 5200 to 5203; the allow-list is that of the sockets.
#include "mql5.hpp"

namespace {
const int REDIRECTS = 5;
const uint BLOCK = 65536;
const char *const AGENT = "MetaTrader 5 Terminal/5.5320 (Imitation)";

struct Url {
    bool secure = false;
    std::string host, target;
    uint port = 80;
};

bool parse(const std::string &text, Url &url) {
    size_t scheme = text.find("://");
    if (scheme == std::string::npos)
        return false;
    url.secure = text.substr(0, scheme) == "https";
    std::string rest = text.substr(scheme + 3);
    size_t slash = std::min(rest.find('/'), rest.size()), colon = rest.find(':');
    url.target = slash < rest.size() ? rest.substr(slash) : "/";
    url.port = colon < slash ? (uint)atoi(rest.c_str() + colon + 1) : url.secure ? 443 : 80;
    url.host = rest.substr(0, std::min(colon, slash));
    return !url.host.empty() && url.port > 0;
}

struct Answer {
    int status = 0;
    std::string headers, body;

    std::string header(const std::string &name) const {
        std::istringstream in(headers);
        for (std::string line; std::getline(in, line);)
            if (!strncasecmp(line.c_str(), (name + ":").c_str(), name.size() + 1)) {
                size_t from = line.find_first_not_of(' ', name.size() + 1);
                size_t to = line.find_last_not_of("\r ");
                return from == std::string::npos ? "" : line.substr(from, to - from + 1);
            }
        return "";
    }
};

std::string unchunked(const std::string &body) {
    std::string out;
    for (size_t at = 0; at < body.size();) {
        size_t line = body.find("\r\n", at);
        size_t size = strtoul(body.c_str() + at, nullptr, 16);
        if (line == std::string::npos || size == 0)
            break;
        out += body.substr(line + 2, size);
        at = line + 2 + size + 2;
    }
    return out;
}

bool split(const std::string &raw, Answer &answer) {
    size_t end = raw.find("\r\n\r\n");
    if (end == std::string::npos || sscanf(raw.c_str(), "HTTP/%*s %d", &answer.status) != 1)
        return false;
    answer.headers = raw.substr(raw.find("\r\n") + 2, end - raw.find("\r\n"));
    answer.body = raw.substr(end + 4);
    if (answer.header("Transfer-Encoding") == "chunked")
        answer.body = unchunked(answer.body);
    return true;
}

bool complete(const std::string &raw) {
    Answer answer;
    if (!split(raw, answer) || answer.header("Content-Length").empty())
        return false; // the end of the connection says it
    return answer.body.size() >= strtoul(answer.header("Content-Length").c_str(), nullptr, 10);
}

int send_all(int socket, bool secure, const std::string &text) {
    Array<uchar> bytes;
    bytes.resize_((int)text.size(), 0);
    std::copy(text.begin(), text.end(), bytes.p);
    uint n = (uint)text.size();
    return secure ? SocketTlsSend(socket, bytes, n) : SocketSend(socket, bytes, n);
}

std::string read_all(int socket, bool secure, ulong until) {
    std::string raw;
    while (GetTickCount64() < until && !complete(raw)) {
        Array<uchar> block;
        int n = secure ? SocketTlsReadAvailable(socket, block, BLOCK)
                       : SocketRead(socket, block, BLOCK, (uint)(until - GetTickCount64()));
        if (n < 0)
            break;
        if (n == 0)
            Sleep(1);
        raw.append((const char *)block.p, (size_t)n);
    }
    return raw;
}

std::string request(const string &method, const Url &url, const string &headers,
                    const std::string &body) {
    std::string name = method.utf8(), text = name + " " + url.target + " HTTP/1.1\r\nHost: ";
    text += url.host + ":" + std::to_string(url.port) + "\r\nUser-Agent: " + AGENT;
    text += "\r\nConnection: close\r\n";
    std::string more = headers.utf8();
    text += more.empty() || more.ends_with("\r\n") ? more : more + "\r\n";
    if (name != "GET" && name != "HEAD" && more.find("Content-Type:") == std::string::npos)
        text += "Content-Type: application/x-www-form-urlencoded\r\n";
    if (!body.empty() || name == "POST")
        text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return text + "\r\n" + body;
}

// The status, or 0 with the last error.
int exchange(const Url &url, const std::string &text, int ms, Answer &answer) {
    int socket = SocketCreate();
    ulong until = GetTickCount64() + (ulong)ms;
    ResetLastError();
    bool open = SocketConnect(socket, string::utf8(url.host), url.port, (uint)ms);
    if (open && url.secure && url.port != 443)
        open = SocketTlsHandshake(socket, string::utf8(url.host));
    int error = open ? 0 : GetLastError() == 4014 ? 4014 : 5201;
    if (open && send_all(socket, url.secure, text) <= 0)
        error = 5203;
    if (!error && !split(read_all(socket, url.secure, until), answer))
        error = GetTickCount64() >= until ? 5202 : 5203;
    SocketClose(socket);
    fail_(error);
    return error ? 0 : answer.status;
}
} // namespace

int WebRequest(const string &method, const string &address, const string &headers, int ms,
               const Array<char> &data, Array<char> &result, string &result_headers) {
    std::string to = address.utf8(), body(data.p, data.p + data.n);
    for (int i = 0; i < REDIRECTS; i++) {
        Url url;
        if (!parse(to, url))
            return fail_(5200), -1;
        Answer answer;
        int status = exchange(url, request(method, url, headers, body), ms, answer);
        if (!status)
            return -1;
        bool moved = (status == 301 || status == 302) && !answer.header("Location").empty();
        if (moved) {
            to = answer.header("Location");
            continue;
        }
        result.resize_(0, 0);
        result.resize_((int)answer.body.size(), 0);
        std::copy(answer.body.begin(), answer.body.end(), result.p);
        result_headers = string::utf8(answer.headers);
        return status;
    }
    return fail_(5203), -1;
}

int WebRequest(const string &method, const string &address, const string &cookie,
               const string &referer, int ms, const Array<char> &data, int size,
               Array<char> &result, string &result_headers) {
    Array<char> cut = data;
    cut.resize_(std::min(size, data.n), 0);
    std::string headers;
    if (StringLen(cookie))
        headers += "Cookie: " + cookie.utf8() + "\r\n";
    if (StringLen(referer))
        headers += "Referer: " + referer.utf8() + "\r\n";
    return WebRequest(method, address, string::utf8(headers), ms, cut, result, result_headers);
}
