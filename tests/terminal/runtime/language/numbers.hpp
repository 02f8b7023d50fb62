// Numbers.
#ifndef NUMBERS_HPP
#define NUMBERS_HPP

template <class T> T MathAbs(T x) { return x < 0 ? -x : x; }

template <class A, class B> std::common_type_t<A, B> MathMin(A a, B b) {
    typedef std::common_type_t<A, B> C;
    return (C)a < (C)b ? (C)a : (C)b;
}

template <class A, class B> std::common_type_t<A, B> MathMax(A a, B b) {
    typedef std::common_type_t<A, B> C;
    return (C)a > (C)b ? (C)a : (C)b;
}

inline double MathFloor(double x) { return floor(x); }

inline double MathCeil(double x) { return ceil(x); }

inline double MathRound(double x) { return round(x); }

inline double MathPow(double a, double b) { return pow(a, b); }

inline double MathSqrt(double x) { return sqrt(x); }

inline double MathLog(double x) { return log(x); }

inline double MathExp(double x) { return exp(x); }

inline double MathMod(double a, double b) { return fmod(a, b); }

inline bool MathIsValidNumber(double x) { return std::isfinite(x); }

double NormalizeDouble(double x, int digits);
int MathRand();
void MathSrand(int seed);
#endif
