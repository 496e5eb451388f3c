/* After setuid and chroot to an empty folder a first GET works all the same. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    char folder[] = "observe.XXXXXX";
    if (mkdtemp(folder) == NULL)
        fail("mkdtemp");
    int home = open(".", O_RDONLY | O_DIRECTORY);
    CALL(chroot(folder));
    CALL(chdir("/"));
    CALL(setresuid(65534, 65534, 65534));
    CALL(open("/proc/self/maps", O_RDONLY));
    fetch("/fixed/1000");
    fetch("/fixed/1001");
    CALL(unlinkat(home, folder, AT_REMOVEDIR));
    return 0;
}
