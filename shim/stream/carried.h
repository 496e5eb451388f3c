/*
 * carried.h: connections that this process makes for another one, which no library can be preloaded into: midstream-supervisor's.
 */
#ifndef MIDSTREAM_CARRIED_H
#define MIDSTREAM_CARRIED_H

/*
 * By the supervisor, which finds it by its name: the connection that is being made on fd is that of process pid, which has it on
 * `number`. 0; -1 where it is not followed.
 */
int midstream_carries(int fd, int pid, int number);

#endif
