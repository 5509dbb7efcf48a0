/* dolly-btrfs: makes and deletes btrfs subvolumes for the storage service, as `btrfs subvolume` does, without a program for each. */
#define _GNU_SOURCE
#include "coprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

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

/* `snapshot SOURCE DIRECTORY NAME` (writable) or `delete DIRECTORY NAME`. */
static int perform(char **words, size_t count, char *said, size_t size)
{
	(void)said, (void)size;
	if (count == 3 && strcmp(words[0], "delete") == 0)
		return change(words[1], words[2], BTRFS_IOC_SNAP_DESTROY_V2, 0);
	if (count != 4 || strcmp(words[0], "snapshot") != 0)
		return EINVAL;
	const int source = open_directory(words[1]);
	return source < 0 ? errno : change(words[2], words[3], BTRFS_IOC_SNAP_CREATE_V2, source);
}

int main(void)
{
	return serve_tasks(perform);
}
