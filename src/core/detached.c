#include "core/detached.h"

#include <signal.h>

static int start(pthread_t *thread, int detached, void *(*run)(void *), void *argument, void *stack, size_t stack_size)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int error = pthread_attr_init(&attributes);

    if (error != 0) {
        return error;
    }
    pthread_attr_setdetachstate(&attributes, detached);
    if (stack != NULL) {
        error = pthread_attr_setstack(&attributes, stack, stack_size);
    } else {
        pthread_attr_setstacksize(&attributes, stack_size); /* 0 is no size: the system's own stays */
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = error != 0 ? error : pthread_create(thread, &attributes, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

int eg_thread_start(pthread_t *thread, void *(*run)(void *), void *argument, size_t stack_size)
{
    return start(thread, PTHREAD_CREATE_JOINABLE, run, argument, NULL, stack_size);
}

int eg_thread_start_on(pthread_t *thread, void *(*run)(void *), void *argument, void *stack, size_t stack_size)
{
    return start(thread, PTHREAD_CREATE_JOINABLE, run, argument, stack, stack_size);
}

int eg_detached_start(void *(*run)(void *), void *argument, size_t stack_size)
{
    pthread_t thread;
    return start(&thread, PTHREAD_CREATE_DETACHED, run, argument, NULL, stack_size);
}
