// Native sockets, and HTTP.
#ifndef NETWORK_HPP
#define NETWORK_HPP
#define SOCKET_DEFAULT 0u
int SocketCreate(uint flags = SOCKET_DEFAULT);
bool SocketClose(int s);
bool SocketConnect(int s, const string &host, uint port, uint ms);
bool SocketIsConnected(int s);
uint SocketIsReadable(int s);
bool SocketIsWritable(int s);
bool SocketTimeouts(int s, uint send_ms, uint receive_ms);
int SocketRead(int s, Array<uchar> &b, uint n, uint ms);
int SocketSend(int s, const Array<uchar> &b, uint n);
bool SocketTlsHandshake(int s, const string &host);
bool SocketTlsCertificate(int s, string &subject, string &issuer, string &serial, string &thumb,
                          datetime &until);
int SocketTlsRead(int s, Array<uchar> &b, uint n);
int SocketTlsReadAvailable(int s, Array<uchar> &b, uint n);
int SocketTlsSend(int s, const Array<uchar> &b, uint n);
int WebRequest(const string &method, const string &url, const string &headers, int ms,
               const Array<char> &data, Array<char> &result, string &result_headers);
int WebRequest(const string &method, const string &url, const string &cookie, const string &referer,
               int ms, const Array<char> &data, int size, Array<char> &result,
               string &result_headers);
#endif
