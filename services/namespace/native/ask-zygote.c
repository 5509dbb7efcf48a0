/* The spawner's side of the zygote: a conmon that was loaded once and is forked for each launch. */
#define _GNU_SOURCE
#include "dolly-init.h"
#include "zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int connection = -1;
static pid_t zygote = -1;

/* Its arguments are where its forks write theirs. */
__attribute__((noreturn)) static void become_zygote(const char *conmon, const char *library, int own)
{
	static char title[COMMAND_LINE_BYTES];
	static char preload[PATH_BYTES + 16];
	(void)snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
	(void)snprintf(title, sizeof title, "%-*s", (int)sizeof title - 1, "(kept loaded for monitors)");
	char *args[] = { (char *)conmon, title, NULL }, *environment[] = { preload, NULL };
	const int nothing = open("/dev/null", O_RDWR);
	if (nothing >= 0 && dup2(nothing, STDIN_FILENO) == STDIN_FILENO && dup2(nothing, STDOUT_FILENO) == STDOUT_FILENO &&
	    dup2(nothing, STDERR_FILENO) == STDERR_FILENO && dup2(own, ZYGOTE_FD) == ZYGOTE_FD && fcntl(ZYGOTE_FD, F_SETFD, 0) == 0 &&
	    syscall(SYS_close_range, ZYGOTE_FD + 1U, ~0U, 0) == 0)
		execve(conmon, args, environment);
	_exit(EXIT_NOT_EXECUTABLE);
}

static void reap(void)
{
	while (zygote > 0 && waitpid(zygote, NULL, 0) < 0 && errno == EINTR)
		continue;
}

bool start_zygote(const char *conmon, const char *library)
{
	int ends[2];
	char hello;
	if (access(library, R_OK) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return false;
	zygote = fork();
	if (zygote == 0)
		become_zygote(conmon, library, ends[1] == ZYGOTE_FD ? dup(ends[1]) : ends[1]);
	close(ends[1]);
	/* A conmon that is linked statically takes no notice of the library, and ends on arguments that are none. */
	if (zygote > 0 && recv(ends[0], &hello, 1, 0) == 1) {
		connection = ends[0];
		return true;
	}
	close(ends[0]);
	reap();
	return false;
}

void end_zygote(void)
{
	if (connection < 0)
		return;
	/* Tasks under way have it too. */
	(void)shutdown(connection, SHUT_RDWR);
	close(connection);
	connection = -1;
	reap();
}

bool ask_zygote(const struct launch_head *head, const char *text, size_t size, const int fds[SENT])
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int[SENT]))];
	} control;
	struct iovec parts[] = { { (void *)head, sizeof *head }, { (void *)text, size } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control };
	if (connection < 0 || size > COMMAND_LINE_BYTES)
		return false;
	memset(&control, 0, sizeof control);
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int[SENT]));
	memcpy(CMSG_DATA(&control.header), fds, sizeof(int[SENT]));
	return sendmsg(connection, &message, MSG_NOSIGNAL) == (ssize_t)(sizeof *head + size);
}
