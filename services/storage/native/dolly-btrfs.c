/* dolly-btrfs: makes, limits and deletes btrfs subvolumes, and follows paths in them, for the storage service, as `btrfs subvolume` does, without a program for each. */
#define _GNU_SOURCE
#include "coprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.7; the headers of Debian 12 do not know it. */
enum { ENABLE_SIMPLE_QUOTA = 4 };

static int open_directory(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The kernel looks the name up in the directory itself, so that neither can lead anywhere else. */
static int change(const char *directory, const char *name, unsigned long request, int source)
{
	struct btrfs_ioctl_vol_args_v2 args = { .fd = source };
	if (strlen(name) > BTRFS_SUBVOL_NAME_MAX)
		return ENAMETOOLONG;
	strcpy(args.name, name);
	const int parent = open_directory(directory);
	return parent < 0 || ioctl(parent, request, &args) ? errno : 0;
}

static int enable_quota(const char *directory)
{
	struct btrfs_ioctl_quota_ctl_args args = { .cmd = ENABLE_SIMPLE_QUOTA };
	const int file = open_directory(directory);
	return file < 0 || ioctl(file, BTRFS_IOC_QUOTA_CTL, &args) ? errno : 0;
}

/* Limits what the subvolume adds to what it was made of; the group 0 is the directory's own. */
static int limit(const char *directory, const char *bytes)
{
	char *end = NULL;
	errno = 0;
	const unsigned long long most = strtoull(bytes, &end, 10);
	struct btrfs_ioctl_qgroup_limit_args args = { .lim = { .flags = BTRFS_QGROUP_LIMIT_MAX_RFER, .max_rfer = most } };
	if (errno || end == bytes || *end)
		return EINVAL;
	const int file = open_directory(directory);
	return file < 0 || ioctl(file, BTRFS_IOC_QGROUP_LIMIT, &args) ? errno : 0;
}

/* Where a path leads for whoever has `root` as its root; nothing when that is no directory. */
static int resolve(const char *root, const char *path, char *said, size_t size)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	char link[64];
	const int top = open_directory(root);
	if (top < 0)
		return errno;
	const int found = (int)syscall(SYS_openat2, top, path, &how, sizeof how);
	if (found < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : errno;
	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", found);
	const ssize_t length = readlink(link, said, size);
	if (length < 0 || (size_t)length >= size)
		return length < 0 ? errno : ENAMETOOLONG;
	said[length] = '\0';
	return strchr(said, '\n') ? EINVAL : 0;
}

/*
 * `snapshot SOURCE DIRECTORY NAME` (writable), `create DIRECTORY NAME`, `delete DIRECTORY NAME`,
 * `quota DIRECTORY`, `limit SUBVOLUME BYTES` or `resolve ROOT PATH`.
 */
static int perform(char **words, size_t count, char *said, size_t size)
{
	if (count == 3 && strcmp(words[0], "resolve") == 0)
		return resolve(words[1], words[2], said, size);
	if (count == 3 && strcmp(words[0], "create") == 0)
		return change(words[1], words[2], BTRFS_IOC_SUBVOL_CREATE_V2, 0);
	if (count == 3 && strcmp(words[0], "delete") == 0)
		return change(words[1], words[2], BTRFS_IOC_SNAP_DESTROY_V2, 0);
	if (count == 2 && strcmp(words[0], "quota") == 0)
		return enable_quota(words[1]);
	if (count == 3 && strcmp(words[0], "limit") == 0)
		return limit(words[1], words[2]);
	if (count != 4 || strcmp(words[0], "snapshot") != 0)
		return EINVAL;
	const int source = open_directory(words[1]);
	return source < 0 ? errno : change(words[2], words[3], BTRFS_IOC_SNAP_CREATE_V2, source);
}

int main(void)
{
	return serve_tasks(perform);
}
