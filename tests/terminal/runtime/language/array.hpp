// Arrays: what is grown holds garbage.
#ifndef ARRAY_HPP
#define ARRAY_HPP

struct Fixed {
    long n;

    explicit Fixed(long x) : n(x) {}
};

template <class T> struct Array {
    T *p = nullptr;
    int n = 0, cap = 0;
    bool fixed = false, series = false;

    Array() {}

    explicit Array(Fixed f) {
        grow_((int)f.n, 0);
        fixed = true;
    }

    Array(const Array &o) { *this = o; }

    ~Array() { clear_(); }

    Array &operator=(const Array &o) {
        if (this == &o)
            return *this;
        bool f = fixed || o.fixed;
        fixed = false;
        resize_(0, 0);
        resize_(o.n, 0);
        for (int i = 0; i < n; i++)
            p[i] = o.p[i];
        fixed = f;
        return *this;
    }

    static Array of(std::initializer_list<T> l) {
        Array a;
        a.resize_((int)l.size(), 0);
        int i = 0;
        for (auto &x : l)
            a.p[i++] = x;
        return a;
    }

    static Array of(Fixed f, std::initializer_list<T> l) {
        Array a;
        a.resize_((int)f.n, 0);
        for (int i = 0; i < a.n; i++)
            a.p[i] = T();
        int i = 0;
        for (auto &x : l)
            a.p[i++] = x;
        a.fixed = true;
        return a;
    }

    T &operator[](long i) {
        if (i < 0 || i >= n)
            critical("array out of range");
        return p[series ? n - 1 - i : i];
    }

    const T &operator[](long i) const {
        if (i < 0 || i >= n)
            critical("array out of range");
        return p[series ? n - 1 - i : i];
    }

    void clear_() {
        for (int i = 0; i < n; i++)
            p[i].~T();
        free((void *)p);
        p = nullptr;
        n = cap = 0;
    }

    void grow_(int to, int reserve) {
        if (to > cap) {
            int c = to + reserve;
            T *q = (T *)malloc(sizeof(T) * (size_t)c);
            memset((void *)q, 0xCD, sizeof(T) * (size_t)c);
            for (int i = 0; i < n; i++) {
                new (&q[i]) T(std::move(p[i]));
                p[i].~T();
            }
            if (p)
                memset((void *)p, 0xDD, sizeof(T) * (size_t)n);
            free((void *)p);
            p = q;
            cap = c; // old references are dead
        }
        for (int i = n; i < to; i++) {
            memset((void *)&p[i], 0xCD, sizeof(T));
            new (&p[i]) T;
        }
        n = to;
    }

    int resize_(int to, int reserve) {
        if (to < 0)
            return fail_(5052), -1;
        if (fixed)
            return to <= n ? to : (fail_(5050), -1);
        if (to > n)
            grow_(to, reserve);
        else {
            for (int i = to; i < n; i++)
                p[i].~T();
            n = to;
        }
        return n;
    }
};

// An array as a function of a DLL sees it: bytes without a type.
struct Memory {
    char *bytes;
    size_t size;

    template <class T>
    Memory(const Array<T> &array)
        : bytes((char *)array.p), size((size_t)array.n * sizeof(T)) {}
};

template <class T> int ArraySize(const Array<T> &a) { return a.n; }

template <class T> int ArrayResize(Array<T> &a, long n, long reserve = 0) {
    return a.resize_((int)n, (int)reserve);
}

template <class T> void ArrayFree(Array<T> &a) {
    if (!a.fixed)
        a.resize_(0, 0);
}

template <class T, class V> int ArrayInitialize(Array<T> &a, V x) {
    for (int i = 0; i < a.n; i++)
        a.p[i] = (T)x;
    return a.n;
}

template <class T, class V> void ArrayFill(Array<T> &a, long from, long count, V x) {
    for (long i = from; i < from + count; i++)
        a[i] = (T)x;
}

template <class T> bool ArraySetAsSeries(Array<T> &a, bool f) {
    a.series = f;
    return true;
}

template <class T> bool ArrayIsDynamic(const Array<T> &a) { return !a.fixed; }

template <class D, class S>
int ArrayCopy(Array<D> &d, const Array<S> &s, long ds = 0, long ss = 0, long n = WHOLE_ARRAY) {
    if (ss < 0 || ds < 0 || ss > s.n)
        return fail_(4003), 0;
    if (n < 0 || n > s.n - ss)
        n = s.n - ss;
    if (ds + n > d.n) {
        if (d.fixed)
            n = d.n - ds;
        else
            d.resize_((int)(ds + n), 0);
    }
    if ((void *)&d == (void *)&s && ds > ss)
        for (long i = n - 1; i >= 0; i--)
            d.p[ds + i] = (D)s.p[ss + i];
    else
        for (long i = 0; i < n; i++)
            d.p[ds + i] = (D)s.p[ss + i];
    return (int)n;
}

template <class T> bool ArrayRemove(Array<T> &a, uint start, uint count = (uint)WHOLE_ARRAY) {
    if (start >= (uint)a.n)
        return fail_(5052);
    if (count == (uint)WHOLE_ARRAY)
        count = a.n - start;
    if (count > a.n - start)
        return fail_(4003);
    for (uint i = start; i + count < (uint)a.n; i++)
        a.p[i] = a.p[i + count];
    if (!a.fixed)
        a.resize_(a.n - (int)count, 0);
    return true;
}

template <class T>
bool ArrayInsert(Array<T> &d, const Array<T> &s, uint at, uint from = 0,
                 uint count = (uint)WHOLE_ARRAY) {
    if (count == (uint)WHOLE_ARRAY)
        count = s.n - from;
    int old = d.n;
    d.resize_(old + (int)count, 0);
    for (int i = old - 1; i >= (int)at; i--)
        d.p[i + count] = d.p[i];
    for (uint i = 0; i < count; i++)
        d.p[at + i] = s.p[from + i];
    return true;
}

template <class T> bool ArrayReverse(Array<T> &a, uint s = 0, uint c = (uint)WHOLE_ARRAY) {
    int e = c == (uint)WHOLE_ARRAY ? a.n : (int)(s + c);
    for (int i = s, j = e - 1; i < j; i++, j--)
        std::swap(a.p[i], a.p[j]);
    return true;
}

template <class T> bool ArraySort(Array<T> &a) {
    for (int i = 1; i < a.n; i++)
        for (int j = i; j > 0 && a.p[j] < a.p[j - 1]; j--)
            std::swap(a.p[j], a.p[j - 1]);
    return true;
}

template <class T> void ZeroMemory(T &x) {
    if constexpr (std::is_trivially_copyable_v<T>)
        memset((void *)&x, 0, sizeof x);
    else {
        x.~T();
        memset((void *)&x, 0, sizeof x);
        new (&x) T();
    }
}
#endif
