/* Covers over what the container may not see, or not change. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * slot of a tmpfs with a directory `shm`, two slots: an empty file and an empty directory in there, whose inodes cover
 * what is masked. They are out of sight as soon as `/dev/shm` has its own file system.
 */
int enact_mask_source(struct context *context, char **args, size_t count)
{
	size_t file = 0, directory = 0;
	int devices = -1;
	(void)count;
	const int error = slot_of(context, args[0], &devices);
	if (error || slot_index(args[1], &file) || slot_index(args[2], &directory))
		return error ? error : EINVAL;
	if (mknodat(devices, "shm/file", S_IFREG, 0) || mkdirat(devices, "shm/directory", 0555))
		return errno;
	context->slots[file] = openat(devices, "shm/file", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	context->slots[directory] = openat(devices, "shm/directory", O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
	return context->slots[file] < 0 || context->slots[directory] < 0 ? errno : 0;
}

static int clone_over(int source, int target, uint64_t attributes)
{
	const int tree = (int)syscall(SYS_open_tree, source, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH);
	if (tree < 0)
		return errno;
	const int error = bind_tree(tree, target, attributes, 0);
	close(tree);
	return error;
}

/* What is not there needs no cover; a link would lead the cover astray and is refused. */
static int open_covered(const char *path, int *target)
{
	*target = open_target(path, TARGET_EXISTING, true);
	return *target >= 0 || errno == ENOENT || errno == ENOTDIR ? 0 : errno;
}

/* The file's slot, the directory's, path. */
int enact_mask(struct context *context, char **args, size_t count)
{
	const uint64_t attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	struct stat status;
	int file = -1, directory = -1, target = -1;
	(void)count;
	int error = slot_of(context, args[0], &file);
	if (!error)
		error = slot_of(context, args[1], &directory);
	if (!error)
		error = open_covered(args[2], &target);
	if (error || target < 0)
		return error;
	error = fstat(target, &status) ? errno : clone_over(S_ISDIR(status.st_mode) ? directory : file, target, attributes);
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
	error = clone_over(target, target, MOUNT_ATTR_RDONLY);
	close(target);
	return error;
}
