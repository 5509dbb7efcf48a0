/* Starts monitors for the namespace service: from within the monitors' cgroup, so that none has to be moved there. */
#define _GNU_SOURCE
#include "coprocess.h"
#include "dolly-init.h"
#include "zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int program = -1;
static bool preloaded;

struct monitor {
	const char *errors;
	struct launch_head head;
	const char *directory;
	char **environment;
	char **args;
	const char *end; /* of the last argument; what is between the directory and it are these words */
};

static bool put(int from, int to)
{
	return from >= 0 && dup2(from, to) == to;
}

/* Above the descriptors that are about to be given away, whichever this process happens to have. */
static int spare(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD, FIRST_SPARE_FD);
}

static bool furnish(const struct monitor *monitor, int sync)
{
	const int errors = spare(open(monitor->errors, O_WRONLY | O_CREAT | O_TRUNC, 0600));
	const int nothing = spare(open("/dev/null", O_RDONLY));
	const int own_program = spare(program);
	return put(nothing, STDIN_FILENO) && put(errors, STDOUT_FILENO) && put(errors, STDERR_FILENO) && put(sync, SYNC_FD) &&
	       put(own_program, PROGRAM_FD) && syscall(SYS_close_range, (unsigned int)FIRST_CLOSED_FD, ~0U, 0) == 0 &&
	       chdir(monitor->directory) == 0 && setsid() > 0;
}

__attribute__((noreturn)) static void become(const struct monitor *monitor, int sync)
{
	const int answer = spare(sync);
	(void)signal(SIGCHLD, SIG_DFL);
	(void)signal(SIGPIPE, SIG_DFL);
	if (furnish(monitor, answer))
		execve(monitor->args[0], monitor->args, monitor->environment);
	(void)dprintf(SYNC_FD, "cannot run %s: %s\n", monitor->args[0], strerror(errno));
	_exit(EXIT_NOT_EXECUTABLE);
}

/* The monitor's first line, or nothing when it died without a word; what does not fit is let go. */
static int first_line(int fd, char *said, size_t size)
{
	size_t used = 0;
	for (;;) {
		char byte = 0;
		const ssize_t got = read(fd, &byte, 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno;
		if (got == 0 || byte == '\n')
			return 0;
		if (used + 1 < size)
			said[used++] = byte;
	}
}

/* Where the service says that the plan is there. Open as long as somebody wants the launch; closed with the task's descriptors. */
static int hold_plan_fifo(const char *directory)
{
	char file[PATH_BYTES];
	const int size = snprintf(file, sizeof file, "%s/" PLAN_FIFO, directory);
	if (size < 0 || (size_t)size >= sizeof file)
		return ENAMETOOLONG;
	if (mkfifo(file, 0600) && errno != EEXIST)
		return errno;
	return open(file, O_RDWR | O_CLOEXEC) < 0 ? errno : 0;
}

static int launch_anew(const struct monitor *monitor, int sync[2], char *said, size_t size)
{
	const pid_t child = fork();
	if (child < 0)
		return errno;
	if (child == 0)
		become(monitor, sync[1]);
	close(sync[1]);
	const int error = first_line(sync[0], said, size);
	/* conmon leaves this one and goes on in a child of its own. */
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		continue;
	return error;
}

static bool give_to_zygote(const struct monitor *monitor, int sync)
{
	const int errors = open(monitor->errors, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const int fds[SENT] = { nothing, errors, sync, program };
	const char *text = monitor->directory;
	return errors >= 0 && nothing >= 0 && ask_zygote(&monitor->head, text, (size_t)(monitor->end - text), fds);
}

static int launch(const struct monitor *monitor, char *said, size_t size)
{
	int sync[2];
	const int held = hold_plan_fifo(monitor->directory);
	if (held)
		return held;
	if (pipe2(sync, O_CLOEXEC))
		return errno;
	if (!give_to_zygote(monitor, sync[1]))
		return launch_anew(monitor, sync, said, size);
	close(sync[1]);
	return first_line(sync[0], said, size);
}

/* `launch ERRORS COUNT DIRECTORY VARIABLE… PROGRAM ARGUMENT…`, or `ready`, which says whether conmon is loaded. */
static int perform(char **words, size_t count, char *said, size_t size)
{
	char *environment[MAX_WORDS + 1] = { NULL };
	uint64_t variables = 0;
	if (count == 1 && strcmp(words[0], "ready") == 0) {
		(void)snprintf(said, size, "%s", preloaded ? "preloaded" : "");
		return 0;
	}
	if (count < 5 || strcmp(words[0], "launch") != 0 || number(words[2], count - 5, &variables))
		return EINVAL;
	memcpy(environment, words + 4, (size_t)variables * sizeof *words);
	const char *last = words[count - 1];
	const struct monitor monitor = { words[1], { (uint32_t)variables }, words[3], environment, words + 4 + variables, last + strlen(last) + 1 };
	return launch(&monitor, said, size);
}

static int join_cgroup(const char *directory)
{
	char file[PATH_BYTES];
	const int size = snprintf(file, sizeof file, "%s/cgroup.procs", directory);
	if (size < 0 || (size_t)size >= sizeof file)
		return ENAMETOOLONG;
	const int fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	const int error = write_all(fd, "0", 1);
	close(fd);
	return error;
}

int spawn_monitors(char **args)
{
	const bool preload = strcmp(*args, "--preload") == 0;
	char **directories = preload ? args + 3 : args;
	const int bare = make_bare_namespace(*directories);
	if (bare) {
		(void)dprintf(STDERR_FILENO, "dolly-init: cannot make a mount namespace of %s: %s\n", *directories, strerror(bare));
		return EXIT_USAGE;
	}
	for (char **cgroups = directories + 1; *cgroups; cgroups++) {
		const int error = join_cgroup(*cgroups);
		if (error) {
			(void)dprintf(STDERR_FILENO, "dolly-init: cannot join cgroup %s: %s\n", *cgroups, strerror(error));
			return EXIT_USAGE;
		}
	}
	program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (program < 0) {
		(void)dprintf(STDERR_FILENO, "dolly-init: cannot open itself: %s\n", strerror(errno));
		return EXIT_USAGE;
	}
	preloaded = preload && start_zygote(args[1], args[2]);
	const int status = serve_tasks(perform);
	/* It lives in the monitors' cgroups, which may be removed next. */
	end_zygote();
	return status;
}
