// Time. What a program measures runs $SPEED times faster; the time of day does not, since the
// daemon's stamps are compared with it.
#ifndef CLOCK_HPP
#define CLOCK_HPP
double now_ms();           // monotonic, of this machine
double busy_ms();          // that this process has computed: others may use the machine too
double real_ms(double ms); // milliseconds of the program as milliseconds of this machine
long server_time_ms();     // the broker's clock: milliseconds since 1970
void pause_ms(double ms);  // sleeps for milliseconds of the program
#endif
