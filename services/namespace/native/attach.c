/* Joins standard input and output to a monitor's attach socket, which Node cannot open (SOCK_SEQPACKET). */
#define _GNU_SOURCE
#include "dolly-init.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACKET_BYTES = 8192, FRAME_BYTES = 32768 + 16, HEADER_BYTES = 8 };

static char pending[PACKET_BYTES];
static size_t pending_size;
static unsigned char frame[HEADER_BYTES - 1 + FRAME_BYTES];

/* One packet (a stream number, then data) becomes one frame as in Docker's attach protocol. Answers false at the end. */
static bool receive(int socket)
{
	/* The packet's first byte lands on the header's last one, so that the data needs no move. */
	unsigned char *packet = frame + HEADER_BYTES - 1;
	const ssize_t size = recv(socket, packet, FRAME_BYTES, 0);
	/* A monitor that ends with our input unread resets the connection; what it wrote before is still to be received. */
	if (size <= 0)
		return size < 0 && (errno == EINTR || errno == ECONNRESET);
	const uint32_t length = (uint32_t)size - 1;
	const unsigned char stream = *packet == 3 ? 2 : 1;
	const unsigned char header[HEADER_BYTES] = {
		stream, 0, 0, 0, (unsigned char)(length >> 24), (unsigned char)(length >> 16), (unsigned char)(length >> 8), (unsigned char)length,
	};
	memcpy(frame, header, sizeof header);
	return length == 0 || write_all(STDOUT_FILENO, frame, HEADER_BYTES + length) == 0;
}

/* Never blocks: while it waited for the container to read, the container's output would wait for us. */
static bool forward(int socket)
{
	const ssize_t sent = send(socket, pending, pending_size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN || errno == EINTR;
	pending_size = 0; /* a packet is sent whole or not at all */
	return true;
}

int attach_terminal(const char *socket_path)
{
	const int socket = connect_unix(socket_path, SOCK_SEQPACKET);
	bool open_input = true;
	if (socket < 0) {
		(void)dprintf(STDERR_FILENO, "dolly-init: cannot attach to %s: %s\n", socket_path, strerror(errno));
		return 1;
	}
	for (;;) {
		struct pollfd watched[] = {
			{ .fd = socket, .events = (short)(pending_size ? POLLIN | POLLOUT : POLLIN) },
			{ .fd = open_input && !pending_size ? STDIN_FILENO : -1, .events = POLLIN },
			{ .fd = STDOUT_FILENO, .events = 0 },
		};
		if (poll(watched, 3, -1) < 0 && errno != EINTR)
			return 1;
		if ((watched[0].revents & (POLLIN | POLLHUP | POLLERR)) && !receive(socket))
			return 0;
		if (watched[2].revents & (POLLERR | POLLHUP))
			return 0;
		if (watched[0].revents & POLLOUT && pending_size && !forward(socket))
			open_input = false, pending_size = 0;
		if (watched[1].revents) {
			const ssize_t size = read(STDIN_FILENO, pending, sizeof pending);
			if (size > 0)
				pending_size = (size_t)size;
			else if (size == 0 || errno != EINTR)
				open_input = shutdown(socket, SHUT_WR) != 0 && false;
		}
	}
}
