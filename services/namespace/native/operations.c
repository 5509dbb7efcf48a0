/* The table of operations, and those that are one system call on the process itself. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const struct operation operations[] = {
	{ "open", 3, 3, enact_open },
	{ "fifo", 2, 2, enact_fifo },
	{ "write", 2, 2, enact_write },
	{ "proc-write", 2, 2, enact_proc_write },
	{ "join", 2, 2, enact_join },
	{ "unshare", 1, 8, enact_unshare },
	{ "clone", 0, 8, enact_clone },
	{ "session", 0, 0, enact_session },
	{ "keyring", 1, 1, enact_keyring },
	{ "hostname", 1, 1, enact_hostname },
	{ "domainname", 1, 1, enact_domainname },
	{ "rlimit", 3, 3, enact_rlimit },
	{ "umask", 1, 1, enact_umask },
	{ "mkdir", 2, 2, enact_mkdir },
	{ "directory", 1, 1, enact_directory },
	{ "mknod", 5, 5, enact_mknod },
	{ "symlink", 2, 2, enact_symlink },
	{ "propagation", 2, 2, enact_propagation },
	{ "tree", 3, 3, enact_tree },
	{ "bind", 5, 5, enact_bind },
	{ "mount", 6, 6, enact_mount },
	{ "remount", 2, 2, enact_remount },
	{ "pivot", 1, 1, enact_pivot },
	{ "mask-source", 2, 2, enact_mask_source },
	{ "mask", 2, 2, enact_mask },
	{ "readonly", 1, 1, enact_readonly },
	{ "detach", 1, 1, enact_detach },
	{ "console", 1, 1, enact_console },
	{ "user", 2, MAX_SLOTS, enact_user },
	{ "bounding", 1, 1, enact_bounding },
	{ "capabilities", 4, 4, enact_capabilities },
	{ "no-new-privileges", 0, 0, enact_no_new_privileges },
	{ "seccomp", 1, 1, enact_seccomp },
	{ "env", 0, MAX_STRINGS - 3, enact_env },
	{ "cwd", 1, 1, enact_cwd },
	{ "cloexec", 1, 1, enact_cloexec },
	{ "resolve", 1, 1, enact_resolve },
	{ "wait", 1, 1, enact_wait },
	{ "exec", 1, MAX_STRINGS - 3, enact_exec },
};

const struct operation *operation_named(const char *name)
{
	for (size_t index = 0; index < sizeof operations / sizeof *operations; index++)
		if (strcmp(operations[index].name, name) == 0)
			return &operations[index];
	return NULL;
}

int number(const char *text, uint64_t most, uint64_t *value)
{
	char *end = NULL;
	if (*text < '0' || *text > '9')
		return EINVAL;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return errno || *end || *value > most ? EINVAL : 0;
}

static int slot_index(const char *text, size_t *index)
{
	uint64_t value = 0;
	if (number(text, MAX_SLOTS - 1, &value))
		return EINVAL;
	*index = (size_t)value;
	return 0;
}

int slot_of(const struct context *context, const char *text, int *fd)
{
	size_t index = 0;
	if (slot_index(text, &index))
		return EINVAL;
	*fd = context->slots[index];
	return *fd < 0 ? EBADF : 0;
}

void say(struct context *context, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(context->shared->detail, DETAIL_BYTES, format, arguments);
	va_end(arguments);
}

int enact_open(struct context *context, char **args, size_t count)
{
	static const struct { const char *name; int flags; } modes[] = {
		{ "read", O_RDONLY }, { "write", O_WRONLY }, { "path", O_PATH }, { "directory", O_RDONLY | O_DIRECTORY },
	};
	size_t slot = 0;
	(void)count;
	if (slot_index(args[0], &slot))
		return EINVAL;
	for (size_t index = 0; index < sizeof modes / sizeof *modes; index++) {
		if (strcmp(modes[index].name, args[1]) != 0)
			continue;
		context->slots[slot] = open(args[2], modes[index].flags | O_CLOEXEC | O_NOCTTY);
		return context->slots[slot] < 0 ? errno : 0;
	}
	return EINVAL;
}

int enact_fifo(struct context *context, char **args, size_t count)
{
	size_t slot = 0;
	(void)count;
	if (slot_index(args[0], &slot))
		return EINVAL;
	if (unlink(args[1]) && errno != ENOENT)
		return errno;
	if (mkfifo(args[1], 0600))
		return errno;
	/* Without O_NONBLOCK this would wait here for the writer whom only `wait` expects. */
	context->slots[slot] = open(args[1], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return context->slots[slot] < 0 ? errno : 0;
}

int enact_write(struct context *context, char **args, size_t count)
{
	int fd = -1;
	const int error = slot_of(context, args[0], &fd);
	(void)count;
	return error ? error : write_all(fd, args[1], strlen(args[1]));
}

/* The file system is checked: a path under /proc may be anything in a root that someone else has made. */
int enact_proc_write(struct context *context, char **args, size_t count)
{
	struct statfs status;
	int error = 0;
	(void)count;
	const int fd = open(args[0], O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno;
	if (fstatfs(fd, &status)) {
		error = errno;
	} else if (status.f_type != PROC_SUPER_MAGIC) {
		say(context, "it is not a file of the proc file system");
		error = EPERM;
	} else {
		error = write_all(fd, args[1], strlen(args[1]));
	}
	close(fd);
	return error;
}

static int namespace_flag(const char *name, int *flag)
{
	static const struct { const char *name; int flag; } kinds[] = {
		{ "pid", CLONE_NEWPID }, { "mount", CLONE_NEWNS }, { "uts", CLONE_NEWUTS }, { "ipc", CLONE_NEWIPC },
		{ "network", CLONE_NEWNET }, { "cgroup", CLONE_NEWCGROUP }, { "user", CLONE_NEWUSER },
	};
	for (size_t index = 0; index < sizeof kinds / sizeof *kinds; index++) {
		if (strcmp(kinds[index].name, name) == 0) {
			*flag |= kinds[index].flag;
			return 0;
		}
	}
	return EINVAL;
}

int enact_join(struct context *context, char **args, size_t count)
{
	int flag = 0;
	(void)context;
	(void)count;
	if (namespace_flag(args[0], &flag))
		return EINVAL;
	const int fd = open(args[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	const int error = setns(fd, flag) ? errno : 0;
	close(fd);
	return error;
}

int enact_unshare(struct context *context, char **args, size_t count)
{
	int flags = 0;
	(void)context;
	for (size_t index = 0; index < count; index++)
		if (namespace_flag(args[index], &flags))
			return EINVAL;
	return unshare(flags) ? errno : 0;
}

/* `into=SLOT`: the child begins in the cgroup of that directory, which saves a wait for every other fork of the host. */
static int born_into(const struct context *context, const char *kind, struct clone_args *args)
{
	int fd = -1;
	const int error = slot_of(context, kind + strlen("into="), &fd);
	args->flags |= CLONE_INTO_CGROUP;
	args->cgroup = (unsigned int)fd;
	return error;
}

/* Returns in both processes; `context->child` is 0 in the child. */
int enact_clone(struct context *context, char **args, size_t count)
{
	struct clone_args wanted = { .exit_signal = SIGCHLD };
	int flags = 0;
	for (size_t index = 0; index < count; index++) {
		const bool into = strncmp(args[index], "into=", strlen("into=")) == 0;
		const int error = into ? born_into(context, args[index], &wanted) : namespace_flag(args[index], &flags);
		if (error)
			return error;
	}
	wanted.flags |= (unsigned int)flags;
	const long pid = syscall(SYS_clone3, &wanted, sizeof wanted);
	context->child = (pid_t)pid;
	return pid < 0 ? errno : 0;
}

int enact_session(struct context *context, char **args, size_t count)
{
	(void)context, (void)args, (void)count;
	return setsid() < 0 ? errno : 0;
}

int enact_keyring(struct context *context, char **args, size_t count)
{
	(void)context, (void)count;
	return syscall(SYS_keyctl, (long)KEYCTL_JOIN_SESSION_KEYRING, args[0]) < 0 && errno != ENOSYS ? errno : 0;
}

int enact_hostname(struct context *context, char **args, size_t count)
{
	(void)context, (void)count;
	return sethostname(args[0], strlen(args[0])) ? errno : 0;
}

int enact_domainname(struct context *context, char **args, size_t count)
{
	(void)context, (void)count;
	return setdomainname(args[0], strlen(args[0])) ? errno : 0;
}

static int limit_value(const char *text, rlim_t *value)
{
	uint64_t parsed = 0;
	if (strcmp(text, "unlimited") == 0) {
		*value = RLIM_INFINITY;
		return 0;
	}
	const int error = number(text, UINT64_MAX, &parsed);
	*value = (rlim_t)parsed;
	return error;
}

int enact_rlimit(struct context *context, char **args, size_t count)
{
	static const struct { const char *name; __rlimit_resource_t resource; } kinds[] = {
		{ "as", RLIMIT_AS }, { "core", RLIMIT_CORE }, { "cpu", RLIMIT_CPU }, { "data", RLIMIT_DATA },
		{ "fsize", RLIMIT_FSIZE }, { "locks", RLIMIT_LOCKS }, { "memlock", RLIMIT_MEMLOCK },
		{ "msgqueue", RLIMIT_MSGQUEUE }, { "nice", RLIMIT_NICE }, { "nofile", RLIMIT_NOFILE },
		{ "nproc", RLIMIT_NPROC }, { "rss", RLIMIT_RSS }, { "rtprio", RLIMIT_RTPRIO },
		{ "rttime", RLIMIT_RTTIME }, { "sigpending", RLIMIT_SIGPENDING }, { "stack", RLIMIT_STACK },
	};
	struct rlimit limit, now;
	(void)count;
	if (limit_value(args[1], &limit.rlim_cur) || limit_value(args[2], &limit.rlim_max))
		return EINVAL;
	for (size_t index = 0; index < sizeof kinds / sizeof *kinds; index++) {
		if (strcmp(kinds[index].name, args[0]) != 0)
			continue;
		if (setrlimit(kinds[index].resource, &limit) == 0)
			return 0;
		const int error = errno;
		if (error == EPERM && getrlimit(kinds[index].resource, &now) == 0)
			say(context, "the hard limit of the host is %llu and cannot be raised without CAP_SYS_RESOURCE",
			    (unsigned long long)now.rlim_max);
		return error;
	}
	say(context, "there is no such limit");
	return EINVAL;
}

int enact_umask(struct context *context, char **args, size_t count)
{
	uint64_t mask = 0;
	(void)context, (void)count;
	if (number(args[0], 0777, &mask))
		return EINVAL;
	umask((mode_t)mask);
	return 0;
}

int enact_mkdir(struct context *context, char **args, size_t count)
{
	uint64_t mode = 0;
	(void)context, (void)count;
	if (number(args[1], 07777, &mode))
		return EINVAL;
	return mkdir(args[0], (mode_t)mode) && errno != EEXIST ? errno : 0;
}

int enact_mknod(struct context *context, char **args, size_t count)
{
	static const struct { const char *name; mode_t type; } kinds[] = {
		{ "c", S_IFCHR }, { "b", S_IFBLK }, { "p", S_IFIFO }, { "f", S_IFREG },
	};
	uint64_t mode = 0, major_number = 0, minor_number = 0;
	(void)context, (void)count;
	if (number(args[1], 07777, &mode) || number(args[3], UINT32_MAX, &major_number) || number(args[4], UINT32_MAX, &minor_number))
		return EINVAL;
	for (size_t index = 0; index < sizeof kinds / sizeof *kinds; index++)
		if (strcmp(kinds[index].name, args[2]) == 0)
			return mknod(args[0], kinds[index].type | (mode_t)mode, makedev((unsigned int)major_number, (unsigned int)minor_number)) ? errno : 0;
	return EINVAL;
}

int enact_symlink(struct context *context, char **args, size_t count)
{
	(void)context, (void)count;
	return symlink(args[0], args[1]) ? errno : 0;
}
