/* dolly-devices: attaches the device programs of the cgroup service (BPF_PROG_TYPE_CGROUP_DEVICE), which bpf(2) alone can. */
#define _GNU_SOURCE
#include "coprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_INSTRUCTIONS = 2048, MOST_ATTACHED = 64 };

static long bpf(enum bpf_cmd command, union bpf_attr *attributes)
{
	return syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static uint64_t pointer(const void *address)
{
	return (uint64_t)(uintptr_t)address;
}

static bool is_called(uint32_t id, const char *name)
{
	union bpf_attr by_id = { .prog_id = id };
	const long program = bpf(BPF_PROG_GET_FD_BY_ID, &by_id);
	if (program < 0)
		return false;
	struct bpf_prog_info info = { 0 };
	union bpf_attr about = { .info = { .bpf_fd = (uint32_t)program, .info_len = sizeof info, .info = pointer(&info) } };
	const bool called = bpf(BPF_OBJ_GET_INFO_BY_FD, &about) == 0 && strcmp(info.name, name) == 0;
	(void)close((int)program);
	return called;
}

static int is_attached(int cgroup, const char *name, bool *attached)
{
	uint32_t ids[MOST_ATTACHED];
	union bpf_attr query = { .query = { .target_fd = (uint32_t)cgroup,
					    .attach_type = BPF_CGROUP_DEVICE,
					    .prog_ids = pointer(ids),
					    .prog_cnt = MOST_ATTACHED } };
	if (bpf(BPF_PROG_QUERY, &query) < 0)
		return errno;
	for (uint32_t index = 0; index < query.query.prog_cnt && !*attached; index++)
		*attached = is_called(ids[index], name);
	return 0;
}

static int nibble(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Answers how many bytes the hexadecimal text stands for, 0 when it is none or too long. */
static size_t decode(const char *hex, unsigned char *bytes, size_t size)
{
	const size_t length = strlen(hex);
	if (length % 2 != 0 || length / 2 > size)
		return 0;
	for (size_t index = 0; index < length / 2; index++) {
		const int high = nibble(hex[2 * index]), low = nibble(hex[2 * index + 1]);
		if (high < 0 || low < 0)
			return 0;
		bytes[index] = (unsigned char)(high << 4 | low);
	}
	return length / 2;
}

static int load(const char *name, const char *hex)
{
	struct bpf_insn instructions[MOST_INSTRUCTIONS];
	const size_t bytes = decode(hex, (unsigned char *)instructions, sizeof instructions);
	union bpf_attr program = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
				   .insn_cnt = (uint32_t)(bytes / sizeof *instructions),
				   .insns = pointer(instructions),
				   .license = pointer("Apache-2.0"),
				   .expected_attach_type = BPF_CGROUP_DEVICE };
	if (bytes == 0 || bytes % sizeof *instructions != 0 || strlen(name) >= sizeof program.prog_name) {
		errno = EINVAL;
		return -1;
	}
	strcpy(program.prog_name, name);
	return (int)bpf(BPF_PROG_LOAD, &program);
}

/* `attach CGROUP NAME PROGRAM`: the instructions in hexadecimal; nothing where a program of that name is attached. */
static int perform(char **words, size_t count, char *said, size_t size)
{
	(void)said, (void)size;
	if (count != 4 || strcmp(words[0], "attach") != 0)
		return EINVAL;
	const int cgroup = open(words[1], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (cgroup < 0)
		return errno;
	bool attached = false;
	const int error = is_attached(cgroup, words[2], &attached);
	if (error || attached)
		return error;
	const int program = load(words[2], words[3]);
	if (program < 0)
		return errno;
	/* Beside those of others: what is below may restrict further and never allow again. */
	union bpf_attr attach = { .target_fd = (uint32_t)cgroup,
				  .attach_bpf_fd = (uint32_t)program,
				  .attach_type = BPF_CGROUP_DEVICE,
				  .attach_flags = BPF_F_ALLOW_MULTI };
	return bpf(BPF_PROG_ATTACH, &attach) < 0 ? errno : 0;
}

int main(void)
{
	return serve_tasks(perform);
}
