/*
 * conmon, loaded ahead of need. This library is preloaded into one conmon and takes the place of its main(): for each
 * launch it forks a process that goes on with conmon's own. To map and link conmon's libraries takes most of the time
 * in which a monitor comes up.
 */
#define _GNU_SOURCE
#include "zygote.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef int (*main_fn)(int, char **, char **);
typedef void (*hook_fn)(void);
typedef int (*start_fn)(main_fn, int, char **, hook_fn, hook_fn, hook_fn, void *);

struct launch {
	struct launch_head head;
	char text[MAX_LAUNCH_BYTES];
	size_t size;
	int fds[SENT];
};

static main_fn conmon_main;
/* Where /proc/<pid>/cmdline reads: zygote's own arguments, long enough for a monitor's. */
static char *title;
static size_t title_bytes;

static bool put(int from, int to)
{
	return dup2(from, to) == to;
}

/* What was received may have the numbers that are about to be given away. */
static bool furnish(int fds[SENT])
{
	for (int index = 0; index < SENT; index++)
		if ((fds[index] = fcntl(fds[index], F_DUPFD, FIRST_SPARE_FD)) < 0)
			return false;
	return put(fds[SENT_NOTHING], STDIN_FILENO) && put(fds[SENT_ERRORS], STDOUT_FILENO) &&
	       put(fds[SENT_ERRORS], STDERR_FILENO) && put(fds[SENT_SYNC], SYNC_FD) && put(fds[SENT_PROGRAM], PROGRAM_FD) &&
	       syscall(SYS_close_range, (unsigned int)FIRST_CLOSED_FD, ~0U, 0) == 0;
}

/* Answers the words' count, or 0 when there are too many; the text ends with NUL. */
static size_t split(char *text, size_t size, char *words[MAX_LAUNCH_WORDS + 2])
{
	size_t count = 0;
	for (char *word = text; word < text + size; word += strlen(word) + 1) {
		if (count == MAX_LAUNCH_WORDS)
			return 0;
		words[count++] = word;
	}
	words[count] = NULL;
	return count;
}

/* Moves the command to where it is seen from outside. */
static bool retitle(char **command, size_t bytes)
{
	if (bytes > title_bytes)
		return false;
	memcpy(title, command[0], bytes);
	memset(title + bytes, 0, title_bytes - bytes);
	char *word = title;
	for (char **arg = command; *arg; arg++, word += strlen(word) + 1)
		*arg = word;
	return true;
}

/*
 * conmon forks to leave whoever runs it, and its first process writes the pid of the second: this one has left
 * already, so it writes its own, and `--sync` tells conmon to stay. Answers false when the file cannot be written.
 */
static bool stay(char **command, size_t *count)
{
	static char sync[] = "--sync";
	char **option = command;
	while (*option && strcmp(*option, "--conmon-pidfile") != 0)
		option++;
	if (!*option || !option[1])
		return true;
	const int file = open(option[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	const bool written = file >= 0 && dprintf(file, "%d", getpid()) > 0;
	close(file);
	command[(*count)++] = sync;
	command[*count] = NULL;
	return written;
}

static int monitor(struct launch *launch)
{
	static char *words[MAX_LAUNCH_WORDS + 2], *environment[MAX_LAUNCH_WORDS + 1];
	const size_t count = split(launch->text, launch->size, words), variables = launch->head.variables;
	if (count < 2 || variables > count - 2 || !furnish(launch->fds) || chdir(words[0]) || setsid() < 0)
		return 1;
	char **command = words + 1 + variables;
	size_t length = count - 1 - variables;
	memcpy(environment, words + 1, variables * sizeof *words);
	environ = environment;
	if (!retitle(command, (size_t)(launch->text + launch->size - command[0])) || !stay(command, &length))
		return 1;
	return conmon_main((int)length, command, environ);
}

static bool receive(struct launch *launch)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof launch->fds)];
	} control;
	struct iovec parts[] = { { &launch->head, sizeof launch->head }, { launch->text, sizeof launch->text } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control };
	ssize_t size;
	do
		size = recvmsg(ZYGOTE_FD, &message, MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR);
	const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (size <= (ssize_t)sizeof launch->head || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || !header ||
	    header->cmsg_len != CMSG_LEN(sizeof launch->fds))
		return false;
	memcpy(launch->fds, CMSG_DATA(header), sizeof launch->fds);
	launch->size = (size_t)size - sizeof launch->head;
	return launch->text[launch->size - 1] == '\0';
}

/* Ends when the spawner does, whose end of the socket it then is. */
static int serve(int argc, char **argv, char **envp)
{
	static struct launch launch;
	(void)envp;
	title = argv[0];
	title_bytes = (size_t)(argv[argc - 1] - argv[0]) + strlen(argv[argc - 1]);
	if (signal(SIGCHLD, SIG_IGN) == SIG_ERR || send(ZYGOTE_FD, "", 1, MSG_NOSIGNAL) != 1)
		return 1;
	while (receive(&launch)) {
		if (fork() == 0) {
			(void)signal(SIGCHLD, SIG_DFL);
			return monitor(&launch);
		}
		/* A fork that failed is told by the pipes that end. */
		for (int index = 0; index < SENT; index++)
			close(launch.fds[index]);
	}
	return 0;
}

int __libc_start_main(main_fn program, int argc, char **argv, hook_fn init, hook_fn fini, hook_fn end, void *stack);

/* What a program's start calls with its main(): glibc 2.34, csu/libc-start.c. */
int __libc_start_main(main_fn program, int argc, char **argv, hook_fn init, hook_fn fini, hook_fn end, void *stack)
{
	start_fn start;
	*(void **)&start = dlsym(RTLD_NEXT, "__libc_start_main");
	conmon_main = program;
	return start(serve, argc, argv, init, fini, end, stack);
}
