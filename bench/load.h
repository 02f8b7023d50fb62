/* What the load clients share: sentences, the clock, the CPU of the server, delays in order. */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void fail(const char *form, ...)
{
    va_list values;
    va_start(values, form);
    fputs("load: ", stderr);
    vfprintf(stderr, form, values);
    fputc('\n', stderr);
    va_end(values);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Seconds that all threads of a process have run. */
static double cpu(int process)
{
    char path[512];
    double seconds = 0;
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *tasks = opendir(path);
    if (!tasks)
        fail("process %d is gone", process);
    for (struct dirent *task; (task = readdir(tasks));) {
        unsigned long long nanoseconds;
        if (task->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", process, task->d_name);
        FILE *file = fopen(path, "r");
        if (file && fscanf(file, "%llu", &nanoseconds) == 1)
            seconds += (double)nanoseconds / 1e9;
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return seconds;
}

static int compare(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static void sort(double *values, long count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
}
