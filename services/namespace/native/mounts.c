/* Mounts, all by descriptor: no path of the container is ever resolved twice. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
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

int enact_tree(struct context *context, char **args, size_t count)
{
	uint64_t slot = 0;
	(void)count;
	if (number(args[0], MAX_SLOTS - 1, &slot))
		return EINVAL;
	const unsigned int depth = strcmp(args[2], "recursive") == 0 ? AT_RECURSIVE : 0;
	const long fd = syscall(SYS_open_tree, AT_FDCWD, args[1], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | depth);
	context->slots[slot] = (int)fd;
	if (fd < 0)
		return errno;
	/* Under systemd mounts are shared: a copy that stays its origin's peer passes the container's mounts on to the host. */
	struct mount_attr attributes = { .propagation = MS_PRIVATE };
	return syscall(SYS_mount_setattr, (int)fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) ? errno : 0;
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

static int open_mount_target(struct context *context, const char *path, enum target_kind kind, const char *mode, int *fd)
{
	const bool plain = strcmp(mode, "plain") == 0;
	*fd = open_target(path, kind, plain);
	if (*fd >= 0)
		return 0;
	if (plain && errno == ELOOP)
		say(context, "a symbolic link is in the way of %s", path);
	return errno;
}

/* slot, target, attributes, directory|file, plain|inside */
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
	const enum target_kind kind = strcmp(args[3], "file") == 0 ? TARGET_FILE : TARGET_DIRECTORY;
	error = open_mount_target(context, args[1], kind, args[4], &target);
	if (error)
		return error;
	error = bind_tree(tree, target, set, clear);
	close(target);
	return error;
}

/* "mode=755,size=64k,newinstance": the text is split in place. */
static int configure(int fs, char *options)
{
	char *option = options;
	while (option && *option) {
		char *next = strchr(option, ',');
		if (next)
			*next++ = '\0';
		char *value = strchr(option, '=');
		if (value)
			*value++ = '\0';
		if (syscall(SYS_fsconfig, fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, option, value, 0))
			return errno;
		option = next;
	}
	return 0;
}

static int make_mount(struct context *context, const char *type, const char *source, uint64_t attributes, char *options, int *mount)
{
	char told[DETAIL_BYTES] = "";
	const int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	int error = 0;
	if (fs < 0)
		return errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0))
		error = errno;
	if (!error)
		error = configure(fs, options);
	if (!error && syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		error = errno;
	if (!error) {
		*mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, (unsigned int)attributes);
		error = *mount < 0 ? errno : 0;
	}
	/* The kernel says what it disliked ("e tmpfs: Bad value for 'size'") on the context itself. */
	if (error && read(fs, told, sizeof told - 1) > 2)
		say(context, "%s", told + 2);
	close(fs);
	return error;
}

/* slot, type, source, attributes, options: mounted nowhere yet, for `bind` to put in its place. */
int enact_file_system(struct context *context, char **args, size_t count)
{
	uint64_t set, clear;
	size_t slot = 0;
	(void)count;
	if (slot_index(args[0], &slot) || attributes_of(args[3], &set, &clear))
		return EINVAL;
	return make_mount(context, args[1], args[2], set, args[4], &context->slots[slot]);
}

/* slot, name, mode, major, minor, owner's user and group id: a character device in a file system that has no place yet. */
int enact_node(struct context *context, char **args, size_t count)
{
	uint64_t mode = 0, major_number = 0, minor_number = 0, uid = 0, gid = 0;
	int fd = -1;
	(void)count;
	if (number(args[2], 07777, &mode) || number(args[3], UINT32_MAX, &major_number) || number(args[4], UINT32_MAX, &minor_number)
	    || number(args[5], UINT32_MAX - 1, &uid) || number(args[6], UINT32_MAX - 1, &gid))
		return EINVAL;
	const int error = slot_of(context, args[0], &fd);
	if (error)
		return error;
	const dev_t device = makedev((unsigned int)major_number, (unsigned int)minor_number);
	/* Not left to the mask of whoever started the service. */
	if (mknodat(fd, args[1], S_IFCHR | (mode_t)mode, device) || fchmodat(fd, args[1], (mode_t)mode, 0)
	    || fchownat(fd, args[1], (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW))
		return errno;
	return 0;
}

/* type, source, target, attributes, options, plain|inside */
int enact_mount(struct context *context, char **args, size_t count)
{
	uint64_t set, clear;
	int mount = -1, target = -1;
	(void)count;
	if (attributes_of(args[3], &set, &clear))
		return EINVAL;
	int error = make_mount(context, args[0], args[1], set, args[4], &mount);
	if (error)
		return error;
	error = open_mount_target(context, args[2], TARGET_DIRECTORY, args[5], &target);
	if (!error)
		error = bind_tree(mount, target, 0, 0);
	if (target >= 0)
		close(target);
	close(mount);
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

int enact_detach(struct context *context, char **args, size_t count)
{
	(void)context, (void)count;
	return umount2(args[0], MNT_DETACH) ? errno : 0;
}
