// Numbers.
#include "mql5.hpp"

double NormalizeDouble(double x, int d) {
    double m = pow(10, d);
    return round(x * m) / m;
}

static uint rand_ = 1;

void MathSrand(int s) { rand_ = s; }

int MathRand() {
    rand_ = rand_ * 214013u + 2531011u;
    return (rand_ >> 16) & 0x7fff;
}
