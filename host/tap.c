/*
 * TAP and TUN interfaces. IFF_VNET_HDR puts a virtio_net_hdr before every frame; with TUN_F_CSUM
 * and TUN_F_TSO4 the kernel then hands over what its TCP made: frames of up to 64 KiB, checksums
 * unfinished. It takes the same from us whatever we ask.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <tern/device.h>
#include <unistd.h>

#include "host/error.h"
#include "host/framefd.h"
#include "host/netns.h"

#define QUEUE_LEN 10000 /* frames */

struct request {
	char name[IFNAMSIZ];
	char netns[256]; /* "": here */
	bool tun;
};

static int parse_spec(const char *spec, struct request *out)
{
	const char *name =
		strncmp(spec, "tap:", 4) == 0 || strncmp(spec, "tun:", 4) == 0 ? spec + 4 : NULL;
	if (!name)
		return tern_error_set("%s: no such kind of device; write tap:NAME or tun:NAME",
			spec);
	size_t len = strcspn(name, "@");
	const char *netns = name[len] ? name + len + 1 : "";
	if (len == 0 || len >= sizeof out->name || strlen(netns) >= sizeof out->netns ||
		(name[len] && !*netns))
		return tern_error_set("%s: not an interface name of 1 to 15 characters", spec);
	memset(out, 0, sizeof *out);
	memcpy(out->name, name, len);
	memcpy(out->netns, netns, strlen(netns));
	out->tun = spec[1] == 'u';
	return 0;
}

static const char *attach_hint(int error)
{
	switch (error) {
	case EPERM:
		return " (needs CAP_NET_ADMIN here, or an interface made for you: ip tuntap add "
		       "NAME "
		       "mode tap user YOU)";
	case EBUSY:
		return " (another program has it)";
	case EINVAL:
		return " (an interface of another kind has that name)";
	default:
		return "";
	}
}

static const char *open_hint(int error)
{
	switch (error) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return " (as root: modprobe tun)";
	case EACCES:
	case EPERM:
		return " (as root: chmod 666 /dev/net/tun)";
	default:
		return "";
	}
}

static int attach(const struct request *r)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return tern_error_set("/dev/net/tun: %s%s", strerror(errno), open_hint(errno));
	struct ifreq ifr = {0};
	memcpy(ifr.ifr_name, r->name, sizeof ifr.ifr_name);
	ifr.ifr_flags = (short)((r->tun ? IFF_TUN : IFF_TAP) | IFF_NO_PI | IFF_VNET_HDR);
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return fd;
	int error = errno;
	tern_error_set("%s: %s%s", r->name, strerror(error), attach_hint(error));
	close(fd);
	errno = error;
	return -1;
}

static int set_mtu(int sock, struct ifreq *ifr, uint32_t mtu)
{
	if (ioctl(sock, SIOCGIFMTU, ifr) != 0)
		return tern_error_set("%s: reading its MTU: %s", ifr->ifr_name, strerror(errno));
	if (mtu == 0 || (uint32_t)ifr->ifr_mtu == mtu)
		return 0;
	ifr->ifr_mtu = (int)mtu;
	if (ioctl(sock, SIOCSIFMTU, ifr) != 0)
		return tern_error_set("%s: setting MTU %u: %s", ifr->ifr_name, mtu,
			strerror(errno));
	return 0;
}

static struct sockaddr ipv4_sockaddr(const uint8_t byte[4])
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct sockaddr sa;
	memcpy(&sin.sin_addr, byte, 4);
	memcpy(&sa, &sin, sizeof sa);
	return sa;
}

/* Gives the kernel's end an IPv4 address and its prefix. */
static int set_address(int sock, struct ifreq *ifr, const char *cidr)
{
	struct tern_addr addr;
	unsigned prefix_len;
	if (tern_cidr_parse(cidr, &addr, &prefix_len) != 0 || !tern_addr_is_v4(&addr))
		return tern_error_set("%s: not an IPv4 address like 10.77.0.1/24", cidr);
	uint32_t mask = prefix_len ? htonl(UINT32_MAX << (32 - prefix_len)) : 0;
	uint8_t mask_byte[4];
	memcpy(mask_byte, &mask, 4);
	ifr->ifr_addr = ipv4_sockaddr(addr.byte + 12);
	int rc = ioctl(sock, SIOCSIFADDR, ifr);
	if (rc == 0) {
		ifr->ifr_netmask = ipv4_sockaddr(mask_byte);
		rc = ioctl(sock, SIOCSIFNETMASK, ifr);
	}
	if (rc != 0)
		return tern_error_set("%s: giving it %s: %s", ifr->ifr_name, cidr, strerror(errno));
	return 0;
}

static int bring_up(int sock, struct ifreq *ifr)
{
	if (ioctl(sock, SIOCGIFFLAGS, ifr) != 0)
		return tern_error_set("%s: reading its flags: %s", ifr->ifr_name, strerror(errno));
	if (ifr->ifr_flags & IFF_UP)
		return 0;
	ifr->ifr_flags |= IFF_UP;
	if (ioctl(sock, SIOCSIFFLAGS, ifr) != 0)
		return tern_error_set("%s: bringing it up: %s", ifr->ifr_name, strerror(errno));
	return 0;
}

/* Ten thousand connections may each have a word to say at once: the kernel's queue for us, of a
 * thousand frames, would drop most of them. */
static void lengthen_queue(int sock, struct ifreq *ifr)
{
	ifr->ifr_qlen = QUEUE_LEN;
	ioctl(sock, SIOCSIFTXQLEN, ifr); /* if it cannot be, it works all the same */
}

/* Sets the interface up; fills in what the device is like. */
static int configure(int fd, const struct tern_device_opts *opts, bool made,
	struct tern_device *like)
{
	struct ifreq ifr = {0};
	memcpy(ifr.ifr_name, like->name, sizeof like->name);
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return tern_error_set("socket: %s", strerror(errno));
	if (made)
		lengthen_queue(sock, &ifr);
	int rc = set_mtu(sock, &ifr, opts->mtu);
	if (rc == 0) {
		like->mtu = (uint32_t)ifr.ifr_mtu;
		rc = opts->kernel_addr ? set_address(sock, &ifr, opts->kernel_addr) : 0;
	}
	if (rc == 0)
		rc = bring_up(sock, &ifr);
	close(sock);
	if (rc == 0 && ioctl(fd, TUNSETOFFLOAD,
			       opts->no_offload ? 0 : TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN) != 0)
		rc = tern_error_set("%s: offloads: %s", like->name, strerror(errno));
	like->offload = opts->no_offload ? 0 : TERN_OFFLOAD_TX_CSUM | TERN_OFFLOAD_TSO;
	return rc;
}

struct tern_device *tern_device_open(const char *spec, const struct tern_device_opts *opts)
{
	static const struct tern_device_opts none;
	struct request r;
	int back = -1;
	if (parse_spec(spec, &r) != 0)
		return NULL;
	if (r.netns[0] && (back = tern_netns_enter(r.netns)) < 0)
		return NULL;
	struct tern_device like = {.raw_ip = r.tun};
	memcpy(like.name, r.name, sizeof like.name);
	bool made = if_nametoindex(r.name) == 0;
	int fd = attach(&r);
	if (fd >= 0 && configure(fd, opts ? opts : &none, made, &like) != 0) {
		close(fd);
		fd = -1;
	}
	if (back >= 0)
		tern_netns_leave(back);
	return fd < 0 ? NULL : tern_framefd_open(fd, &like);
}
