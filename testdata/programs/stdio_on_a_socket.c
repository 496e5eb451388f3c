/* fdopen, fprintf, fgets, fread and fgetc do the exchanges; then the raw descriptor does one. */
#include "observe.h"

int main(int argc, char **argv)
{
    begin(argc, argv);
    int fd = dial();
    FILE *stream = fdopen(fd, "r+");
    if (stream == NULL)
        fail("fdopen");
    for (int i = 0; i < 3; i++) {
        char line[300], content[9000];
        fprintf(stream, "GET /fixed/9000 HTTP/1.1\r\nHost: %s\r\n\r\n", argv[1]);
        fflush(stream);
        settle();
        while (fgets(line, sizeof line, stream) != NULL && strcmp(line, "\r\n") != 0)
            say("%s", line);
        content[0] = (char)fgetc(stream);
        say("%zu\n", fread(content + 1, 1, 8999, stream));
        say("%08x\n", fold(SUM, (unsigned char *)content, sizeof content));
        fseek(stream, 0, SEEK_CUR);
    }
    int copy = dup(fd);
    CALL(fclose(stream));
    get(copy, "/fixed/100");
    dprintf(copy, "GET /fixed/101 HTTP/1.1\r\nHost: %s\r\n\r\n", argv[1]);
    say("%ld\n", head(copy));
    body(copy, 101);
    return 0;
}
