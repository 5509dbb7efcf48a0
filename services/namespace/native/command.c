/* The command: its environment, working directory and program; the wait for its start; its execution. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *environment[MAX_STRINGS];
static char home_variable[PATH_BYTES + 8];

static const char *variable(char *const *variables, const char *name)
{
	const size_t length = strlen(name);
	for (; *variables; variables++)
		if (strncmp(*variables, name, length) == 0 && (*variables)[length] == '=')
			return *variables + length + 1;
	return NULL;
}

int enact_env(struct context *context, char **args, size_t count)
{
	memcpy(environment, args, (count + 1) * sizeof *args);
	context->environment = environment;
	return 0;
}

void set_home(struct context *context, const char *home)
{
	size_t count = 0;
	if (variable(context->environment, "HOME"))
		return;
	while (context->environment[count])
		count++;
	(void)snprintf(home_variable, sizeof home_variable, "HOME=%s", home);
	environment[count] = home_variable;
	environment[count + 1] = NULL;
	context->environment = environment;
}

/* Makes a working directory that is missing, as Docker does: before the user is changed. */
int enact_directory(struct context *context, char **args, size_t count)
{
	(void)context, (void)count;
	const int fd = open_target(args[0], TARGET_DIRECTORY, false);
	return fd < 0 || close(fd) ? errno : 0;
}

/* getcwd begins with "(unreachable)" outside the root (CVE-2024-21626). */
int enact_cwd(struct context *context, char **args, size_t count)
{
	char cwd[PATH_BYTES];
	(void)count;
	const int fd = open_target(args[0], TARGET_EXISTING, false);
	if (fd < 0)
		return errno;
	int error = fchdir(fd) ? errno : 0;
	close(fd);
	if (error)
		return error;
	if (!getcwd(cwd, sizeof cwd))
		return errno;
	if (*cwd == '/')
		return 0;
	say(context, "it lies outside the container's root");
	return EPERM;
}

int enact_cloexec(struct context *context, char **args, size_t count)
{
	uint64_t first = 0;
	(void)context, (void)count;
	if (number(args[0], UINT32_MAX, &first))
		return EINVAL;
	return syscall(SYS_close_range, (unsigned int)first, ~0U, CLOSE_RANGE_CLOEXEC) ? errno : 0;
}

static int runnable(const char *path)
{
	struct stat status;
	if (stat(path, &status))
		return errno;
	if (S_ISDIR(status.st_mode))
		return EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) ? errno : 0;
}

/* A file on PATH that cannot run is remembered but does not end the search, as in a shell. */
int enact_resolve(struct context *context, char **args, size_t count)
{
	const char *path = variable(context->environment, "PATH");
	const char *name = args[0];
	int worst = ENOENT;
	(void)count;
	if (strchr(name, '/')) {
		(void)snprintf(context->program, sizeof context->program, "%s", name);
		return strlen(name) >= sizeof context->program ? ENAMETOOLONG : runnable(name);
	}
	while (*name && path && *path) {
		const size_t length = strcspn(path, ":");
		const int size = snprintf(context->program, sizeof context->program, "%.*s/%s", (int)length, length ? path : ".", name);
		const int error = size < 0 || (size_t)size >= sizeof context->program ? ENAMETOOLONG : runnable(context->program);
		if (!error)
			return 0;
		if (error == EACCES)
			worst = EACCES;
		path += length + (path[length] == ':' ? 1 : 0);
	}
	return worst;
}

/* Whoever opens the FIFO for writing starts the command; until then nothing of this process runs. */
int enact_wait(struct context *context, char **args, size_t count)
{
	struct pollfd waiting = { .events = POLLIN };
	(void)count;
	const int error = slot_of(context, args[0], &waiting.fd);
	if (error)
		return error;
	/* The parent ends when it has read this: it must not take the child with it any more. */
	if (prctl(PR_SET_PDEATHSIG, 0L, 0, 0, 0) || write(context->ready, "w", 1) != 1)
		return errno;
	while (poll(&waiting, 1, -1) < 0)
		if (errno != EINTR)
			return errno;
	return 0;
}

int enact_exec(struct context *context, char **args, size_t count)
{
	(void)count;
	if (context->sealed >= 0)
		syscall(SYS_execveat, context->sealed, "", args, context->environment, AT_EMPTY_PATH);
	else
		execve(*context->program ? context->program : args[0], args, context->environment);
	return errno;
}

/* A program of the host: its own file stays out of reach of `/proc/<pid>/exe`. */
int enact_program(struct context *context, char **args, size_t count)
{
	int program = -1;
	const int error = slot_of(context, args[0], &program);
	(void)count;
	if (error)
		return error;
	context->sealed = sealed_copy(program);
	return context->sealed < 0 ? errno : 0;
}
