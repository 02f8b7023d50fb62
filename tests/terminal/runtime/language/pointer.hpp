// Pointers to objects. What is made by `new` has a block that outlives it, so that a pointer to a
// deleted object is known as such: using it ends the program, as in the terminal.
#ifndef POINTER_HPP
#define POINTER_HPP
#include <typeinfo>

struct Block_ {
    void *object;
    size_t size;
    const char *type;
    void (*destroy)(void *);
    bool alive;
};

Block_ *
block_of_(const void *at); // of the living object made by `new` in which `at` lies; null: none
Block_ *born_(Block_ block);
void deleted_(Block_ *block);

enum ENUM_POINTER_TYPE { POINTER_INVALID, POINTER_DYNAMIC, POINTER_AUTOMATIC };

template <class T> struct Ptr {
    T *object = nullptr;
    Block_ *block = nullptr; // null: an object that was not made by `new`

    Ptr() {}

    Ptr(std::nullptr_t) {}

    Ptr(T *p) : object(p), block(block_of_(p)) {}

    Ptr(T *p, Block_ *b) : object(p), block(b) {}

    template <class U, class = std::enable_if_t<std::is_convertible_v<U *, T *>>>
    Ptr(const Ptr<U> &other) : object(other.object), block(other.block) {}

    template <class U, class = std::enable_if_t<!std::is_convertible_v<U *, T *>>, class = void>
    explicit Ptr(const Ptr<U> &other)
        : object(static_cast<T *>(other.object)), block(other.block) {}

    bool valid() const { return object && (!block || block->alive); }

    T *checked() const {
        if (!valid())
            critical(object ? "invalid pointer access: the object was deleted"
                            : "invalid pointer access: NULL");
        return object;
    }

    T *operator->() const { return checked(); }

    T &operator*() const { return *checked(); }

    operator T &() const { return *checked(); }

    explicit operator bool() const { return object != nullptr; }

    bool operator!() const { return object == nullptr; }
};

template <class T> bool operator==(const Ptr<T> &a, std::nullptr_t) { return a.object == nullptr; }

template <class T, class U> bool operator==(const Ptr<T> &a, const Ptr<U> &b) {
    return (const void *)a.object == (const void *)b.object;
}

template <class T, class U> bool operator==(const Ptr<T> &a, U *b) { return a.object == b; }

template <class T> void destroy_(void *p) { delete static_cast<T *>(p); }

template <class T, class... A> Ptr<T> new_(A &&...arguments) {
    T *p = new T(std::forward<A>(arguments)...);
    return Ptr<T>(p, born_({p, sizeof(T), typeid(T).name(), destroy_<T>, true}));
}

template <class T> void delete_(const Ptr<T> &p) {
    if (!p.object)
        return;
    if (!p.valid())
        critical("delete of an object that was deleted before");
    if (!p.block)
        critical("delete of an object that was not made by new");
    deleted_(p.block);
}

template <class T> T *GetPointer(T &object) { return &object; }

template <class T> Ptr<T> GetPointer(T *object) { return Ptr<T>(object); }

template <class T> Ptr<T> GetPointer(const Ptr<T> &p) { return p; }

template <class T> ENUM_POINTER_TYPE CheckPointer(const Ptr<T> &p) {
    return !p.valid() ? POINTER_INVALID : p.block ? POINTER_DYNAMIC : POINTER_AUTOMATIC;
}

template <class T> ENUM_POINTER_TYPE CheckPointer(T *object) {
    return CheckPointer(Ptr<T>(object));
}
template <class P> struct Pointed;

template <class T> struct Pointed<Ptr<T>> {
    typedef T type;
};

template <class P, class T> P dynamic_cast_(const Ptr<T> &p) {
    if (!p.object)
        return P();
    return P(dynamic_cast<typename Pointed<P>::type *>(p.checked()), p.block);
}

template <class P, class T> P dynamic_cast_(T *p) { return dynamic_cast_<P>(Ptr<T>(p)); }
#endif
