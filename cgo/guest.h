/*
 * guest.h: what the shim does for a core that is a guest in the program's process, beside the contract (abi.h). A core in a process of
 * its own would need none of it.
 */
#ifndef MIDSTREAM_GUEST_H
#define MIDSTREAM_GUEST_H

/* Octets of a thread's stack that the core may use. */
#define MS_THREAD_STACK (128 * 1024)

/*
 * Starts one of the threads that were made for the core (shim/process/threads.h). 0; or EAGAIN: there is none, and none can be
 * made. Any thread of the core's, while it is being loaded as well.
 */
int midstream_thread(void *(*function)(void *), void *argument);

#endif
