/* posix_spawn closes and duplicates descriptors in the child only, which sees no others. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = begin_download();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, fd);
    posix_spawn_file_actions_adddup2(&actions, 1, 7);
    char *args[] = {"sh", "-c", "ls /proc/self/fd; echo on 7 >&7", NULL};
    pid_t pid;
    int error = posix_spawn(&pid, "/bin/sh", &actions, NULL, args, environ);
    wait_for(pid);
    say("posix_spawn %d\n", error);
    posix_spawn_file_actions_destroy(&actions);
    body(fd, 15000);
    list_descriptors();
    return 0;
}
