/* Namespaces: the user namespace first, since whoever makes the others in it owns them through it. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* slot, path of a namespace: the user namespace that owns it. One pin by name thus keeps both. */
int enact_owner(struct context *context, char **args, size_t count)
{
	size_t slot = 0;
	(void)count;
	if (slot_index(args[0], &slot))
		return EINVAL;
	const int fd = open(args[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	context->slots[slot] = ioctl(fd, NS_GET_USERNS);
	const int error = context->slots[slot] < 0 ? errno : 0;
	close(fd);
	return error;
}

/* kind, slot */
int enact_enter(struct context *context, char **args, size_t count)
{
	int flag = 0, fd = -1;
	(void)count;
	if (namespace_flag(args[0], &flag))
		return EINVAL;
	const int error = slot_of(context, args[1], &fd);
	if (error)
		return error;
	return setns(fd, flag) ? errno : 0;
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

/* Until now user 0 of the host, whom the user namespace does not know: files made as such belong to nobody. */
int enact_root(struct context *context, char **args, size_t count)
{
	(void)context, (void)args, (void)count;
	if (setgroups(0, NULL) || setresgid(0, 0, 0) || setresuid(0, 0, 0))
		return errno;
	/* The kernel sets both anew when the user changes, the second as fs.suid_dumpable says. */
	return prctl(PR_SET_PDEATHSIG, (long)SIGKILL, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0L, 0, 0, 0) ? errno : 0;
}

/* user id: the monitor's pipes must belong to someone of the user namespace, or nobody in it may open /dev/stdout again. */
int enact_stdio(struct context *context, char **args, size_t count)
{
	struct stat status;
	uint64_t uid = 0;
	(void)context, (void)count;
	if (number(args[0], UINT32_MAX - 1, &uid))
		return EINVAL;
	for (int fd = 0; fd < 3; fd++)
		if (fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) && fchown(fd, (uid_t)uid, (gid_t)uid))
			return errno;
	return 0;
}
