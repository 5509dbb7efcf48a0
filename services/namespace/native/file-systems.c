/* File systems that the plan makes: mounted nowhere until `bind` puts them in their place. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

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

int make_mount(struct context *context, const char *type, const char *source, uint64_t attributes, char *options, int *mount)
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

/* type, source, target, attributes, options, plain|inside|apart */
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
