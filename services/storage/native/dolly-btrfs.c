/* dolly-btrfs: makes, limits and deletes btrfs subvolumes, and follows paths in them, for the storage service, as `btrfs subvolume` does, without a program for each. */
#define _GNU_SOURCE
#include "coprocess.h"
#include "open-within.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Linux 6.7; the headers of Debian 12 do not know it. */
enum { ENABLE_SIMPLE_QUOTA = 4 };
enum { QUOTA_TREE = 8 };
static const uint64_t LEVEL_1 = 1ULL << 48;

static int open_directory(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The kernel looks the name up in the directory itself, so that neither can lead anywhere else. */
static int change_with(struct btrfs_ioctl_vol_args_v2 args, const char *directory, const char *name, unsigned long request)
{
	if (strlen(name) > BTRFS_SUBVOL_NAME_MAX)
		return ENAMETOOLONG;
	strcpy(args.name, name);
	const int parent = open_directory(directory);
	return parent < 0 || ioctl(parent, request, &args) ? errno : 0;
}

static int change(const char *directory, const char *name, unsigned long request)
{
	return change_with((struct btrfs_ioctl_vol_args_v2){ 0 }, directory, name, request);
}

/* Limited from its first moment: a limit set afterwards waits for the transaction in which the snapshot was made. */
static int snapshot(const char *source, const char *directory, const char *name, uint64_t bytes)
{
	struct btrfs_qgroup_inherit inherit = { .flags = BTRFS_QGROUP_INHERIT_SET_LIMITS, .lim = { .flags = BTRFS_QGROUP_LIMIT_MAX_RFER, .max_rfer = bytes } };
	struct btrfs_ioctl_vol_args_v2 args = { .fd = open_directory(source) };
	if (args.fd < 0)
		return errno;
	if (bytes > 0) {
		args.flags = BTRFS_SUBVOL_QGROUP_INHERIT;
		args.size = sizeof inherit;
		args.qgroup_inherit = &inherit;
	}
	return change_with(args, directory, name, BTRFS_IOC_SNAP_CREATE_V2);
}

static int enable_quota(const char *directory)
{
	struct btrfs_ioctl_quota_ctl_args args = { .cmd = ENABLE_SIMPLE_QUOTA };
	const int file = open_directory(directory);
	return file < 0 || ioctl(file, BTRFS_IOC_QUOTA_CTL, &args) ? errno : 0;
}

static bool number(const char *text, uint64_t *value)
{
	char *end = NULL;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && end != text && !*end;
}

static int limit_group(int file, uint64_t group, uint64_t bytes)
{
	struct btrfs_ioctl_qgroup_limit_args args = { .qgroupid = group, .lim = { .flags = BTRFS_QGROUP_LIMIT_MAX_RFER, .max_rfer = bytes } };
	return ioctl(file, BTRFS_IOC_QGROUP_LIMIT, &args) ? errno : 0;
}

/* Limits what the subvolume adds to what it was made of; the group 0 is the directory's own. */
static int limit(const char *directory, uint64_t bytes)
{
	const int file = open_directory(directory);
	return file < 0 ? errno : limit_group(file, 0, bytes);
}

static int subvolume_id(int file, uint64_t *id)
{
	struct btrfs_ioctl_ino_lookup_args own = { .objectid = BTRFS_FIRST_FREE_OBJECTID };
	if (ioctl(file, BTRFS_IOC_INO_LOOKUP, &own))
		return errno;
	*id = own.treeid;
	return 0;
}

/* Limits the subvolume with all that will be made inside it: with simple quotas a new one joins the groups above that of its place. */
static int limit_nested(const char *directory, uint64_t bytes)
{
	uint64_t id = 0;
	const int file = open_directory(directory);
	const int error = file < 0 ? errno : subvolume_id(file, &id);
	if (error)
		return error;
	const uint64_t group = LEVEL_1 | id;
	struct btrfs_ioctl_qgroup_create_args made = { .create = 1, .qgroupid = group };
	if (ioctl(file, BTRFS_IOC_QGROUP_CREATE, &made) && errno != EEXIST)
		return errno;
	struct btrfs_ioctl_qgroup_assign_args above = { .assign = 1, .src = id, .dst = group };
	if (ioctl(file, BTRFS_IOC_QGROUP_ASSIGN, &above) < 0 && errno != EEXIST)
		return errno;
	return limit_group(file, group, bytes);
}

/* What is full must be emptied: to forget a nested subvolume takes space. */
static int lift(const char *directory)
{
	uint64_t id = 0;
	const int file = open_directory(directory);
	int error = file < 0 ? errno : subvolume_id(file, &id);
	if (!error)
		error = limit_group(file, 0, UINT64_MAX);
	if (!error)
		error = limit_group(file, LEVEL_1 | id, UINT64_MAX);
	return error == ENOENT ? 0 : error;
}

/* Removes the groups above subvolumes that are gone; the kernel keeps one that has members. */
static int sweep_groups(const char *directory)
{
	struct btrfs_ioctl_search_args search = { .key = {
		.tree_id = QUOTA_TREE, .min_type = BTRFS_QGROUP_INFO_KEY, .max_type = BTRFS_QGROUP_INFO_KEY,
		.min_offset = LEVEL_1, .max_offset = LEVEL_1 | (LEVEL_1 - 1), .max_transid = UINT64_MAX,
	} };
	const int file = open_directory(directory);
	if (file < 0)
		return errno;
	for (;;) {
		search.key.nr_items = 4096;
		if (ioctl(file, BTRFS_IOC_TREE_SEARCH, &search))
			return errno == ENOENT ? 0 : errno; /* no quotas, no groups */
		const char *place = search.buf;
		for (uint32_t item = 0; item < search.key.nr_items; item++) {
			struct btrfs_ioctl_search_header header;
			memcpy(&header, place, sizeof header);
			place += sizeof header + header.len;
			struct btrfs_ioctl_qgroup_create_args gone = { .create = 0, .qgroupid = header.offset };
			if (ioctl(file, BTRFS_IOC_QGROUP_CREATE, &gone) && errno != EBUSY && errno != ENOENT)
				return errno;
			search.key.min_offset = header.offset + 1;
		}
		if (search.key.nr_items == 0 || search.key.min_offset > search.key.max_offset)
			return 0;
	}
}

/* Where a path leads for whoever has `root` as its root; nothing when that is no directory. */
static int resolve(const char *root, const char *path, char *said, size_t size)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	char link[64];
	const int top = open_directory(root);
	if (top < 0)
		return errno;
	const int found = open_within(top, path, &how);
	if (found < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : errno;
	(void)snprintf(link, sizeof link, "/proc/thread-self/fd/%d", found);
	const ssize_t length = readlink(link, said, size);
	if (length < 0 || (size_t)length >= size)
		return length < 0 ? errno : ENAMETOOLONG;
	said[length] = '\0';
	return strchr(said, '\n') ? EINVAL : 0;
}

/*
 * `snapshot SOURCE DIRECTORY NAME BYTES` (writable; 0 is without a limit), `create DIRECTORY NAME`, `delete DIRECTORY NAME`,
 * `quota DIRECTORY`, `limit SUBVOLUME BYTES`, `limit-nested SUBVOLUME BYTES`, `lift SUBVOLUME`, `sweep DIRECTORY` or `resolve ROOT PATH`.
 */
static int perform(char **words, size_t count, char *said, size_t size)
{
	uint64_t bytes = 0;
	if (count == 3 && strcmp(words[0], "resolve") == 0)
		return resolve(words[1], words[2], said, size);
	if (count == 3 && strcmp(words[0], "create") == 0)
		return change(words[1], words[2], BTRFS_IOC_SUBVOL_CREATE_V2);
	if (count == 3 && strcmp(words[0], "delete") == 0)
		return change(words[1], words[2], BTRFS_IOC_SNAP_DESTROY_V2);
	if (count == 2 && strcmp(words[0], "quota") == 0)
		return enable_quota(words[1]);
	if (count == 3 && strcmp(words[0], "limit") == 0)
		return number(words[2], &bytes) ? limit(words[1], bytes) : EINVAL;
	if (count == 3 && strcmp(words[0], "limit-nested") == 0)
		return number(words[2], &bytes) ? limit_nested(words[1], bytes) : EINVAL;
	if (count == 2 && strcmp(words[0], "lift") == 0)
		return lift(words[1]);
	if (count == 2 && strcmp(words[0], "sweep") == 0)
		return sweep_groups(words[1]);
	if (count == 5 && strcmp(words[0], "snapshot") == 0)
		return number(words[4], &bytes) ? snapshot(words[1], words[2], words[3], bytes) : EINVAL;
	return EINVAL;
}

int main(void)
{
	return serve_tasks(perform);
}
