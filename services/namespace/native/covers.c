/* Covers over what the container may not see, or not change. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* slot, directory: a temporary tmpfs with one empty file and one empty directory, whose inodes cover what is masked. */
int enact_mask_source(struct context *context, char **args, size_t count)
{
	char options[] = "mode=555,nr_inodes=4,size=4k";
	uint64_t slot = 0;
	int mount = -1, error;
	(void)count;
	if (number(args[0], MAX_SLOTS - 1, &slot))
		return EINVAL;
	error = make_mount(context, "tmpfs", "mask", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, options, &mount);
	if (error)
		return error;
	if (mknodat(mount, "file", S_IFREG, 0) || mkdirat(mount, "directory", 0555)) {
		error = errno;
	} else {
		/* Attached for a moment: before Linux 6.15 only an attached tree may be cloned. */
		const int target = open_target(args[1], TARGET_EXISTING, true);
		error = target < 0 ? errno : bind_tree(mount, target, 0, 0);
		if (target >= 0)
			close(target);
	}
	if (error)
		close(mount);
	else
		context->slots[slot] = mount;
	return error;
}

static int clone_over(int directory, const char *path, int target)
{
	const unsigned int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | (*path ? 0U : (unsigned int)AT_EMPTY_PATH);
	const int tree = (int)syscall(SYS_open_tree, directory, path, flags);
	if (tree < 0)
		return errno;
	const int error = bind_tree(tree, target, MOUNT_ATTR_RDONLY, 0);
	close(tree);
	return error;
}

/* What is not there needs no cover; a link would lead the cover astray and is refused. */
static int open_covered(const char *path, int *target)
{
	*target = open_target(path, TARGET_EXISTING, true);
	return *target >= 0 || errno == ENOENT || errno == ENOTDIR ? 0 : errno;
}

int enact_mask(struct context *context, char **args, size_t count)
{
	struct stat status;
	int source = -1, target = -1;
	(void)count;
	int error = slot_of(context, args[0], &source);
	if (error)
		return error;
	error = open_covered(args[1], &target);
	if (error || target < 0)
		return error;
	error = fstat(target, &status) ? errno : clone_over(source, S_ISDIR(status.st_mode) ? "directory" : "file", target);
	close(target);
	return error;
}

int enact_readonly(struct context *context, char **args, size_t count)
{
	int target = -1;
	(void)context, (void)count;
	int error = open_covered(args[0], &target);
	if (error || target < 0)
		return error;
	error = clone_over(target, "", target);
	close(target);
	return error;
}
