/* dolly-init: enacts the plan of a container. It decides nothing; the plan says every call. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int write_all(int fd, const void *data, size_t size)
{
	const char *bytes = data;
	while (size > 0) {
		const ssize_t written = write(fd, bytes, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return errno;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

/* A socket's path has 107 bytes at most; through a descriptor of its directory it may lie anywhere. */
int connect_unix(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char directory[PATH_BYTES];
	const char *slash = strrchr(path, '/');
	const size_t length = slash ? (size_t)(slash - path) : 0;
	if (length >= sizeof directory) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(directory, path, length);
	strcpy(directory + length, length ? "" : slash ? "/" : ".");
	const int parent = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return -1;
	const int size = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", parent, slash ? slash + 1 : path);
	int fd = -1;
	if (size < 0 || (size_t)size >= sizeof address.sun_path)
		errno = ENAMETOOLONG;
	else
		fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address)) {
		const int error = errno;
		close(fd);
		errno = error;
		fd = -1;
	}
	const int error = errno;
	close(parent);
	errno = error;
	return fd;
}

static int usage(void)
{
	(void)dprintf(STDERR_FILENO,
		      "usage: dolly-init create --bundle DIR --pid-file FILE [--console-socket SOCKET] ID\n"
		      "       dolly-init attach SOCKET   join standard input and output to a monitor's socket\n"
		      "       dolly-init check PLAN      say whether a plan is well formed\n"
		      "       dolly-init spawner [--preload CONMON LIBRARY] BUNDLES CGROUP…\n"
		      "                                  start monitors, as standard input asks, in these cgroups\n");
	return EXIT_USAGE;
}

static int create(int argc, char **argv)
{
	const char *bundle = NULL, *pid_file = NULL, *console_socket = NULL;
	for (int index = 2; index + 1 < argc; index++) {
		const char **value = strcmp(argv[index], "--bundle") == 0           ? &bundle
				     : strcmp(argv[index], "--pid-file") == 0       ? &pid_file
				     : strcmp(argv[index], "--console-socket") == 0 ? &console_socket
										     : NULL;
		if (value)
			*value = argv[++index];
	}
	return bundle && pid_file ? create_container(bundle, pid_file, console_socket) : usage();
}

static int check(const char *path)
{
	char problem[DETAIL_BYTES];
	if (plan_read(path, AT_FDCWD, problem, sizeof problem) == 0)
		return 0;
	(void)dprintf(STDERR_FILENO, "dolly-init: %s\n", problem);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return usage();
	const bool creates = strcmp(argv[1], "create") == 0, spawns = strcmp(argv[1], "spawner") == 0;
	const int error = creates || spawns ? seal_self(argv) : 0;
	if (error) {
		(void)dprintf(STDERR_FILENO, "dolly-init: cannot seal itself: %s\n", strerror(error));
		return EXIT_USAGE;
	}
	if (creates)
		return create(argc, argv);
	if (spawns)
		return argc < 3 || (strcmp(argv[2], "--preload") == 0 && argc < 6) ? usage() : spawn_monitors(argv + 2);
	if (argc == 3 && strcmp(argv[1], "attach") == 0)
		return attach_terminal(argv[2]);
	if (argc == 3 && strcmp(argv[1], "check") == 0)
		return check(argv[2]);
	return usage();
}
