/* The mount namespace that containers' begin as copies of: a copy of the host's would cost more with each container that runs. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where a runtime finds it: /proc/<pid of the spawner>/fd/5. */
enum { BARE_FD = 5 };

/* A new procfs or sysfs is allowed in a user namespace only in sight of another, with all that covers it. */
static const char *const kept[] = { "/proc", "/sys" };
enum { KEPT = sizeof kept / sizeof *kept, ALL = KEPT + 1 };

static int make_directories(const char *absolute)
{
	char path[PATH_BYTES];
	const int size = snprintf(path, sizeof path, "%s/", absolute + 1);
	if (size < 0 || (size_t)size >= sizeof path)
		return ENAMETOOLONG;
	for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return errno;
		*slash = '/';
	}
	return 0;
}

static int place(int tree, const char *absolute)
{
	const int error = make_directories(absolute);
	if (error)
		return error;
	return move_mount(tree, "", AT_FDCWD, absolute + 1, MOVE_MOUNT_F_EMPTY_PATH) ? errno : 0;
}

/* Over the directory of bundles, which is there; the old root lies over the new one until it is detached. */
static int change_root(const char *bundles, const int trees[ALL])
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("dolly", bundles, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=0755") || chdir(bundles))
		return errno;
	for (size_t index = 0; index < ALL; index++) {
		const int error = place(trees[index], index < KEPT ? kept[index] : bundles);
		if (error)
			return error;
	}
	return syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) ? errno : 0;
}

static int leave_behind(void)
{
	/* What has this number by now was opened here and is no longer needed. */
	const int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	const int error = own < 0 || (own != BARE_FD && dup3(own, BARE_FD, O_CLOEXEC) < 0) ? errno : 0;
	if (own >= 0 && own != BARE_FD)
		close(own);
	return error;
}

int make_bare_namespace(const char *bundles)
{
	int trees[ALL] = { -1, -1, -1 };
	int error = *bundles == '/' ? 0 : EINVAL;
	const int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (home < 0)
		return errno;
	for (size_t index = 0; index < ALL && !error; index++)
		error = copy_tree(AT_FDCWD, index < KEPT ? kept[index] : bundles, index < KEPT ? AT_RECURSIVE : 0, &trees[index]);
	if (!error)
		error = unshare(CLONE_NEWNS) ? errno : change_root(bundles, trees);
	for (size_t index = 0; index < ALL; index++)
		if (trees[index] >= 0)
			close(trees[index]);
	if (!error)
		error = leave_behind();
	if ((setns(home, CLONE_NEWNS) || chdir("/")) && !error)
		error = errno;
	close(home);
	return error;
}

/* path of a mount namespace: what is made from now on begins as a copy of it. */
int enact_bare(struct context *context, char **args, size_t count)
{
	(void)context, (void)count;
	const int fd = open(args[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	const int error = setns(fd, CLONE_NEWNS) ? errno : 0;
	close(fd);
	return error;
}
