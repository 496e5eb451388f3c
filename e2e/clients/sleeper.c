/*
 * sleeper.c: a library that does nothing but start a thread that sleeps, when it is loaded. What it costs its program – the C
 * library locks, and looks for cancellation, from the second thread on – any library costs that needs a thread.
 */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static void *sleeper(void *unused)
{
    for (;;) {
        pause();
    }
    return unused;
}

__attribute__((constructor)) static void begin(void)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!pthread_create(&thread, NULL, sleeper, NULL)) {
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
