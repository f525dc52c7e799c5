/* A clock that the case can move: preloaded, it stands before the C library's for everyone in the process. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

static _Atomic long moved;

void lab_move_clock(long seconds)
{
    moved += seconds;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static int (*original)(clockid_t, struct timespec *);
    if (original == NULL) {
        original = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    int status = original(clock, out);
    if (status == 0) {
        out->tv_sec += moved;
    }
    return status;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
