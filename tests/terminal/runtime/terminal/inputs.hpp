// Inputs: read from the environment; a change of the inputs keeps the other global variables.
#ifndef INPUTS_HPP
#define INPUTS_HPP

struct Reinput {
    explicit Reinput(std::function<void()> f);
};

template <class T, class V> T input_(const char *name, V otherwise) {
    const char *e = getenv(name);
    if (!e)
        return T(otherwise);
    if constexpr (std::is_same_v<T, string>)
        return string::utf8(e);
    else if constexpr (std::is_same_v<T, bool>)
        return T(!strcmp(e, "true") || !strcmp(e, "1"));
    else if constexpr (std::is_floating_point_v<T>)
        return T(atof(e));
    else
        return T(atol(e));
}
#endif
