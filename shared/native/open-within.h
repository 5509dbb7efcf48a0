/* openat2(2) for paths that somebody else has filled with links. */
#ifndef DOLLY_OPEN_WITHIN_H
#define DOLLY_OPEN_WITHIN_H

#include <errno.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Far more than one after another has ever met; a host that does nothing but rename is told. */
enum { OPEN_TRIES = 1000 };

/*
 * While anything is renamed or mounted, anywhere on the host, the kernel cannot tell whether a ".." stays within and
 * says EAGAIN: then it is asked again. Answers a descriptor, or -1 and errno.
 */
static inline int open_within(int directory, const char *path, const struct open_how *how)
{
	for (int tries = 1;; tries++) {
		const long file = syscall(SYS_openat2, directory, path, how, sizeof *how);
		if (file >= 0 || errno != EAGAIN || tries == OPEN_TRIES)
			return (int)file;
	}
}

#endif
