/* CVE-2019-5736: what runs inside a container must not be writable through /proc/<pid>/exe. */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

int sealed_copy(int program)
{
	struct stat status;
	off_t offset = 0;
	/* Kernels before 6.3 do not know MFD_EXEC and make every memfd executable. */
	int copy = memfd_create("dolly-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (copy < 0 && errno == EINVAL)
		copy = memfd_create("dolly-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (copy < 0 || fstat(program, &status))
		return -1;
	while (offset < status.st_size)
		if (sendfile(copy, program, &offset, (size_t)(status.st_size - offset)) <= 0)
			return -1;
	return fcntl(copy, F_ADD_SEALS, SEALS) ? -1 : copy;
}

/* Goes on in a sealed copy of the program; returns 0 when it already is one, and an errno when it cannot. */
int seal_self(char **argv)
{
	extern char **environ;
	const int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (program < 0)
		return errno;
	const int seals = fcntl(program, F_GET_SEALS);
	int error = 0;
	if (seals < 0 || (seals & SEALS) != SEALS) {
		const int copy = sealed_copy(program);
		if (copy >= 0)
			syscall(SYS_execveat, copy, "", argv, environ, AT_EMPTY_PATH);
		error = errno;
	}
	close(program);
	return error;
}
