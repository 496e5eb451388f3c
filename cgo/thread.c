/*
 * thread.c: where the Go runtime's threads come from.
 *
 * The linker has it call these in the place of the C library's functions (build.sh, --wrap). A runtime of its own would end the
 * process that it is a guest of when it gets no thread; here it takes one that the shim has made before (shim/process/threads.h). If there
 * is none, the core ends, and the process does not.
 */
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#pragma weak midstream_thread /* cgo links this package by itself, to look at it */

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument);
int __wrap_pthread_attr_getstacksize(const pthread_attr_t *attributes, size_t *size);
void __wrap_abort(void);
void midstream_core_cut(void);

/* Sockets of the core's descriptor table: it has no others above. */
#define TABLE 65536

/*
 * Ends every connection of the core's: the shim learns that the core is gone, and what other threads of it still do reaches nobody.
 * Nothing is closed: those would go on with whatever gets the number next. The channel has the lowest number, and what has been
 * sent on it gets so long to be taken (a socket that is passed on must not be shut down here).
 */
void midstream_core_cut(void)
{
	struct timespec moment = { 0, 10000000 };
	int first = 1;
	for (int fd = 3; fd < TABLE; fd++) {
		if (shutdown(fd, SHUT_RDWR) == 0 && first) {
			first = 0;
			nanosleep(&moment, NULL);
		}
	}
}

/* The calling thread cannot go on, and must not return. */
void __wrap_abort(void)
{
	midstream_core_cut();
	for (;;)
		pause();
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument)
{
	(void)thread;
	(void)attributes;
	if (midstream_thread(function, argument))
		__wrap_abort();
	return 0;
}

/* The threads have been made already: Go is told how much of a stack they have. */
int __wrap_pthread_attr_getstacksize(const pthread_attr_t *attributes, size_t *size)
{
	(void)attributes;
	*size = MS_THREAD_STACK;
	return 0;
}
