/*
 * A device on a descriptor that carries one frame a message, behind a virtio_net_hdr: a TAP or TUN
 * with IFF_VNET_HDR, or one end of a SOCK_SEQPACKET pair.
 */
#ifndef HOST_FRAMEFD_H
#define HOST_FRAMEFD_H

#include <tern/device.h>

/*
 * Makes a device of fd, which it takes (also when it fails, returning NULL), with what
 * `like` says of name, mtu, offload and raw_ip.
 */
struct tern_device *tern_framefd_open(int fd, const struct tern_device *like);

#endif
