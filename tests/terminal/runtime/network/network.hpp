// Native sockets, and HTTP.
#ifndef NETWORK_HPP
#define NETWORK_HPP
#define SOCKET_DEFAULT 0u
int SocketCreate(uint flags = SOCKET_DEFAULT);
bool SocketClose(int handle);
bool SocketConnect(int handle, const string &host, uint port, uint ms);
bool SocketIsConnected(int handle);
uint SocketIsReadable(int handle);
bool SocketIsWritable(int handle);
bool SocketTimeouts(int handle, uint send_ms, uint receive_ms);
int SocketRead(int handle, Array<uchar> &buffer, uint most, uint ms);
int SocketSend(int handle, const Array<uchar> &buffer, uint size);
bool SocketTlsHandshake(int handle, const string &host);
bool SocketTlsCertificate(int handle, string &subject, string &issuer, string &serial,
                          string &thumbprint, datetime &expires);
int SocketTlsRead(int handle, Array<uchar> &buffer, uint most);
int SocketTlsReadAvailable(int handle, Array<uchar> &buffer, uint most);
int SocketTlsSend(int handle, const Array<uchar> &buffer, uint size);
int WebRequest(const string &method, const string &url, const string &headers, int ms,
               const Array<char> &data, Array<char> &result, string &result_headers);
int WebRequest(const string &method, const string &url, const string &cookie, const string &referer,
               int ms, const Array<char> &data, int size, Array<char> &result,
               string &result_headers);
#endif
