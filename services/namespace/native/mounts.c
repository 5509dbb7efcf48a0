/* Mounts, all by descriptor: no path of the container is ever resolved twice. */
#define _GNU_SOURCE
#include "dolly-init.h"
#include "open-within.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's <sys/mount.h> and <linux/mount.h> cannot both be included. */
#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif
int umount2(const char *target, int flags);

enum { EMPTY_PATHS = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH };

int attributes_of(const char *text, uint64_t *set, uint64_t *clear)
{
	static const struct { const char *name; uint64_t attribute; } known[] = {
		{ "ro", MOUNT_ATTR_RDONLY },     { "nosuid", MOUNT_ATTR_NOSUID },   { "nodev", MOUNT_ATTR_NODEV },
		{ "noexec", MOUNT_ATTR_NOEXEC }, { "noatime", MOUNT_ATTR_NOATIME }, { "nodiratime", MOUNT_ATTR_NODIRATIME },
		{ "strictatime", MOUNT_ATTR_STRICTATIME },
	};
	*set = *clear = 0;
	while (*text) {
		const bool clears = *text == '-';
		const char *name = text + (clears ? 1 : 0);
		const size_t length = strcspn(name, ",");
		size_t index = 0;
		while (index < sizeof known / sizeof *known
		       && (strlen(known[index].name) != length || strncmp(known[index].name, name, length) != 0))
			index++;
		if (index == sizeof known / sizeof *known)
			return EINVAL;
		*(clears ? clear : set) |= known[index].attribute;
		text = name + length + (name[length] == ',' ? 1 : 0);
	}
	if (*set & MOUNT_ATTR__ATIME)
		*clear |= MOUNT_ATTR__ATIME;
	return 0;
}

static int set_attributes(int fd, unsigned int flags, uint64_t set, uint64_t clear)
{
	struct mount_attr attributes = { .attr_set = set, .attr_clr = clear };
	if (!set && !clear)
		return 0;
	return syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes) ? errno : 0;
}

int bind_tree(int tree, int target, uint64_t set, uint64_t clear)
{
	const int error = set_attributes(tree, AT_RECURSIVE, set, clear);
	if (error)
		return error;
	return syscall(SYS_move_mount, tree, "", target, "", (unsigned int)EMPTY_PATHS) ? errno : 0;
}

int enact_propagation(struct context *context, char **args, size_t count)
{
	static const struct { const char *name; uint64_t propagation; } known[] = {
		{ "private", 1UL << 18 }, { "slave", 1UL << 19 }, { "shared", 1UL << 20 }, { "unbindable", 1UL << 17 },
	};
	(void)context, (void)count;
	for (size_t index = 0; index < sizeof known / sizeof *known; index++) {
		if (strcmp(known[index].name, args[1]) != 0)
			continue;
		struct mount_attr attributes = { .propagation = known[index].propagation };
		return syscall(SYS_mount_setattr, AT_FDCWD, args[0], AT_RECURSIVE, &attributes, sizeof attributes) ? errno : 0;
	}
	return EINVAL;
}

int copy_tree(int directory, const char *path, unsigned int flags, int *slot)
{
	const long fd = syscall(SYS_open_tree, directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
	*slot = (int)fd;
	if (fd < 0)
		return errno;
	/* Under systemd mounts are shared: a copy that stays its origin's peer passes the container's mounts on to the host. */
	struct mount_attr attributes = { .propagation = MS_PRIVATE };
	return syscall(SYS_mount_setattr, (int)fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) ? errno : 0;
}

int enact_tree(struct context *context, char **args, size_t count)
{
	size_t slot = 0;
	(void)count;
	if (slot_index(args[0], &slot))
		return EINVAL;
	return copy_tree(AT_FDCWD, args[1], strcmp(args[2], "recursive") == 0 ? AT_RECURSIVE : 0, &context->slots[slot]);
}

/* slot, directory, path in it: whoever writes there may not lead the mount out of it by links. */
int enact_tree_beneath(struct context *context, char **args, size_t count)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	size_t slot = 0;
	(void)count;
	if (slot_index(args[0], &slot))
		return EINVAL;
	const int directory = open(args[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return errno;
	const int source = open_within(directory, *args[2] ? args[2] : ".", &how);
	int error = source < 0 ? errno : 0;
	if (error == EXDEV)
		say(context, "a link in %.150s leads out of it", args[1]);
	if (!error)
		error = copy_tree(source, "", AT_EMPTY_PATH, &context->slots[slot]);
	if (source >= 0)
		close(source);
	close(directory);
	return error;
}

/* tree's slot, user namespace's slot: from then on the ids on disk are those inside the namespace. */
int enact_idmap(struct context *context, char **args, size_t count)
{
	int tree = -1, user = -1;
	(void)count;
	if (slot_of(context, args[0], &tree) || slot_of(context, args[1], &user))
		return EBADF;
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned int)user };
	return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) ? errno : 0;
}

/* What a link of the image leads to may be where the plan itself still has to write, or the root. */
static bool is_apart(int target)
{
	static const char *const kept[] = { "/proc", "/sys", "/dev", "/dev/pts", "/dev/mqueue" };
	struct stat status, other;
	if (fstat(target, &status) || stat("/", &other) || (status.st_dev == other.st_dev && status.st_ino == other.st_ino))
		return false;
	for (size_t index = 0; index < sizeof kept / sizeof *kept; index++)
		if (lstat(kept[index], &other) || status.st_dev == other.st_dev)
			return false;
	return true;
}

int open_mount_target(struct context *context, const char *path, enum target_kind kind, const char *mode, int *fd)
{
	const bool plain = strcmp(mode, "plain") == 0;
	*fd = open_target(path, kind, plain);
	if (*fd >= 0 && strcmp(mode, "apart") == 0 && !is_apart(*fd)) {
		say(context, "a link of the image leads to its root, /proc, /sys or /dev");
		close(*fd);
		*fd = -1;
		return EPERM;
	}
	if (*fd >= 0)
		return 0;
	if (plain && errno == ELOOP)
		say(context, "a symbolic link is in the way of %s", path);
	return errno;
}

static enum target_kind kind_like(int tree)
{
	struct stat status;
	return fstat(tree, &status) == 0 && S_ISDIR(status.st_mode) ? TARGET_DIRECTORY : TARGET_FILE;
}

/* slot, target, attributes, directory|file|same, plain|inside|apart */
int enact_bind(struct context *context, char **args, size_t count)
{
	uint64_t set, clear;
	int tree = -1, target = -1;
	(void)count;
	if (attributes_of(args[2], &set, &clear))
		return EINVAL;
	int error = slot_of(context, args[0], &tree);
	if (error)
		return error;
	enum target_kind kind = strcmp(args[3], "file") == 0 ? TARGET_FILE : TARGET_DIRECTORY;
	if (strcmp(args[3], "same") == 0)
		kind = kind_like(tree);
	error = open_mount_target(context, args[1], kind, args[4], &target);
	if (error)
		return error;
	error = bind_tree(tree, target, set, clear);
	close(target);
	return error;
}

int enact_remount(struct context *context, char **args, size_t count)
{
	uint64_t set, clear;
	(void)context, (void)count;
	if (attributes_of(args[1], &set, &clear))
		return EINVAL;
	const int fd = open_target(args[0], TARGET_EXISTING, true);
	if (fd < 0)
		return errno;
	const int error = set_attributes(fd, 0, set, clear);
	close(fd);
	return error;
}

/* pivot_root(".", "."): the old root lies over the new one until it is detached, so it needs no directory. */
int enact_pivot(struct context *context, char **args, size_t count)
{
	(void)context, (void)count;
	if (chdir(args[0]) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
		return errno;
	return 0;
}
