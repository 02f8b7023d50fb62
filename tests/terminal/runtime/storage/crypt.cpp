// Hashes and base64.
#include "mql5.hpp"
#include <openssl/evp.h>

int CryptEncode(ENUM_CRYPT_METHOD m, const Array<uchar> &d, const Array<uchar> &, Array<uchar> &r) {
    const EVP_MD *md = m == CRYPT_HASH_SHA256 ? EVP_sha256()
                       : m == CRYPT_HASH_SHA1 ? EVP_sha1()
                       : m == CRYPT_HASH_MD5  ? EVP_md5()
                                              : nullptr;
    if (md) {
        unsigned n = 0;
        uchar b[64];
        EVP_Digest(d.p, d.n, b, &n, md, nullptr);
        r.resize_((int)n, 0);
        memcpy(r.p, b, n);
        return (int)n;
    }
    if (m == CRYPT_BASE64) {
        r.resize_((d.n + 2) / 3 * 4 + 1, 0);
        int n = EVP_EncodeBlock(r.p, d.p, d.n);
        r.resize_(n, 0);
        return n;
    }
    return fail_(4003), 0;
}
