/* The table of operations, and those that are one system call on the process itself. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct operation operations[] = {
	{ "open", 3, 3, enact_open },
	{ "fifo", 2, 2, enact_fifo },
	{ "write", 2, 2, enact_write },
	{ "proc-write", 2, 2, enact_proc_write },
	{ "owner", 2, 2, enact_owner },
	{ "enter", 2, 2, enact_enter },
	{ "bare", 1, 1, enact_bare },
	{ "unshare", 1, 8, enact_unshare },
	{ "clone", 0, 8, enact_clone },
	{ "root", 0, 0, enact_root },
	{ "stdio", 1, 1, enact_stdio },
	{ "session", 0, 0, enact_session },
	{ "keyring", 1, 1, enact_keyring },
	{ "hostname", 1, 1, enact_hostname },
	{ "domainname", 1, 1, enact_domainname },
	{ "ceiling", 2, 2, enact_ceiling },
	{ "rlimit", 3, 3, enact_rlimit },
	{ "umask", 1, 1, enact_umask },
	{ "mkdir", 2, 2, enact_mkdir },
	{ "directory", 1, 1, enact_directory },
	{ "symlink", 2, 2, enact_symlink },
	{ "propagation", 2, 2, enact_propagation },
	{ "tree", 3, 3, enact_tree },
	{ "tree-beneath", 3, 3, enact_tree_beneath },
	{ "idmap", 2, 2, enact_idmap },
	{ "file-system", 5, 5, enact_file_system },
	{ "node", 7, 7, enact_node },
	{ "bind", 5, 5, enact_bind },
	{ "mount", 6, 6, enact_mount },
	{ "remount", 2, 2, enact_remount },
	{ "pivot", 1, 1, enact_pivot },
	{ "mask-source", 3, 3, enact_mask_source },
	{ "mask", 3, 3, enact_mask },
	{ "readonly", 1, 1, enact_readonly },
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
	{ "program", 1, 1, enact_program },
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

int slot_index(const char *text, size_t *index)
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

int enact_symlink(struct context *context, char **args, size_t count)
{
	(void)context, (void)count;
	return symlink(args[0], args[1]) ? errno : 0;
}
