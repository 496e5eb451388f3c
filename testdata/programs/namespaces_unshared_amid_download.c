/* unshare() and capset() amid a download: what needs a process of a single thread works, and the download is finished. */
#include "observe.h"

#include <linux/capability.h>

static const struct {
    const char *name;
    int flags;
} ways[] = {
    {"user", CLONE_NEWUSER},       {"mount", CLONE_NEWNS}, {"user and net", CLONE_NEWUSER | CLONE_NEWNET},
    {"network", CLONE_NEWNET},     {"files", CLONE_FILES}, {"file system", CLONE_FS},
    {"threads", CLONE_THREAD}, {"signal handlers", CLONE_SIGHAND | CLONE_VM},
};
#define WAYS (sizeof ways / sizeof *ways)

/* Threads of the process that could still do what it has given up. */
static int threads_with_privileges(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *task; tasks && (task = readdir(tasks)) != NULL;) {
        char path[300], line[300];
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *file = fopen(path, "r");
        while (file && fgets(line, sizeof line, file))
            if (!strncmp(line, "CapEff:", 7))
                count += strtoull(line + 7, NULL, 16) != 0;
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return count;
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}};
    extern int capset(cap_user_header_t, const cap_user_data_t);
    CALL(capset(&header, none));
    CALL(threads_with_privileges());
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    for (size_t way = 0; way <= WAYS; way++) {
        pid_t pid = fork();
        if (pid == 0) {
            int fd = begin_download();
            if (way == WAYS) {
                drop_capabilities();
            } else {
                say("%s: ", ways[way].name);
                CALL(unshare(ways[way].flags));
            }
            body(fd, 15000);
            get(fd, "/fixed/3000"); /* on a connection that is there already */
            if (way == WAYS || !(ways[way].flags & CLONE_NEWNET))
                fetch("/fixed/1000");
            _exit(0);
        }
        wait_for(pid);
    }
    return 0;
}
