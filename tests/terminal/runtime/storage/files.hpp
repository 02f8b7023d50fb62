// Files, in the folder MQL5/Files of the terminal.
#ifndef FILES_HPP
#define FILES_HPP
#define FILE_READ 1
#define FILE_WRITE 2
#define FILE_BIN 4
#define FILE_CSV 8
#define FILE_TXT 16
#define FILE_ANSI 32
#define FILE_UNICODE 64
#define FILE_SHARE_READ 128
#define FILE_SHARE_WRITE 256
#define FILE_REWRITE 512
#define FILE_COMMON 4096
int FileOpen(const string &name, int flags, ushort delimiter = '\t', uint page = CP_ACP);
void FileClose(int handle);
void FileFlush(int handle);
bool FileIsEnding(int handle);
ulong FileSize(int handle);
bool FileSeek(int handle, long offset, int from);
ulong FileTell(int handle);
bool FileIsExist(const string &name, int common = 0);
bool FileDelete(const string &name, int common = 0);
bool FileMove(const string &from, int common, const string &to, int mode);
uint FileWriteString(int handle, const string &text, int most = -1);
string FileReadString(int handle, int most = -1);
bool FolderCreate(const string &name, int common = 0);
long FileFindFirst(const string &filter, string &found, int common = 0);
bool FileFindNext(long handle, string &found);
void FileFindClose(long handle);
size_t file_read_(int handle, void *to, size_t size);
size_t file_write_(int handle, const void *from, size_t size);

template <class T>
uint FileWriteArray(int handle, const Array<T> &a, long start = 0, long count = WHOLE_ARRAY) {
    if (count < 0 || count > a.n - start)
        count = a.n - start;
    return count <= 0 ? 0 : (uint)(file_write_(handle, a.p + start, sizeof(T) * count) / sizeof(T));
}

template <class T>
uint FileReadArray(int handle, Array<T> &a, long start = 0, long count = WHOLE_ARRAY) {
    long left = (long)((FileSize(handle) - FileTell(handle)) / sizeof(T));
    if (count < 0 || count > left)
        count = left;
    if (count <= 0)
        return 0;
    if (start + count > a.n)
        a.resize_((int)(start + count), 0);
    return (uint)(file_read_(handle, a.p + start, sizeof(T) * count) / sizeof(T));
}

enum ENUM_CRYPT_METHOD {
    CRYPT_BASE64,
    CRYPT_AES128,
    CRYPT_AES256,
    CRYPT_DES,
    CRYPT_HASH_MD5,
    CRYPT_HASH_SHA1,
    CRYPT_HASH_SHA256,
    CRYPT_ARCH_ZIP
};

int CryptEncode(ENUM_CRYPT_METHOD m, const Array<uchar> &data, const Array<uchar> &key,
                Array<uchar> &result);
#endif
