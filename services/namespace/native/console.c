/* The container's terminal: made in its own devpts, its master handed to the monitor. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* An exec meets a /dev/pts that the container may have covered: what is opened must be a real ptmx. */
static int open_master(struct context *context, int *master)
{
	struct stat status;
	struct statfs system;
	*master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
	if (*master < 0)
		return errno;
	if (fstat(*master, &status) || fstatfs(*master, &system))
		return errno;
	if (system.f_type == DEVPTS_SUPER_MAGIC && status.st_rdev == makedev(5, 2))
		return 0;
	say(context, "/dev/pts/ptmx is not a terminal multiplexer");
	return EPERM;
}

static int send_master(int socket, int master)
{
	char name[] = "/dev/ptmx";
	union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	struct iovec data = { .iov_base = name, .iov_len = sizeof name - 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &master, sizeof(int));
	if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
		return errno;
	/* The monitor closes its end once it has the terminal; if the runtime ended before, it would see none. */
	while (read(socket, name, sizeof name) > 0)
		continue;
	return 0;
}

static int bind_console(int terminal)
{
	char path[64];
	(void)snprintf(path, sizeof path, "/dev/pts/%d", terminal);
	const int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return errno;
	const int target = open_target("/dev/console", TARGET_FILE, true);
	const int error = target < 0 ? errno : bind_tree(tree, target, 0, 0);
	if (target >= 0)
		close(target);
	close(tree);
	return error;
}

static int take_terminal(int master)
{
	const int terminal = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal < 0)
		return errno;
	if (ioctl(terminal, TIOCSCTTY, 0))
		return errno;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(terminal, fd) < 0)
			return errno;
	close(terminal);
	return 0;
}

/* bind|none: whether /dev/console shows the terminal too. */
int enact_console(struct context *context, char **args, size_t count)
{
	int master = -1, unlocked = 0, terminal = 0;
	(void)count;
	if (context->console < 0) {
		say(context, "no console socket was given");
		return ENOTCONN;
	}
	int error = open_master(context, &master);
	if (!error && (ioctl(master, TIOCSPTLCK, &unlocked) || ioctl(master, TIOCGPTN, &terminal)))
		error = errno;
	if (!error && strcmp(args[0], "bind") == 0)
		error = bind_console(terminal);
	if (!error)
		error = send_master(context->console, master);
	if (!error)
		error = take_terminal(master);
	if (master >= 0)
		close(master);
	return error;
}
