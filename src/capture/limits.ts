/** Bounds on what a capture may claim, so that a damaged length is an error and not an allocation. */

/** libpcap's MAXIMUM_SNAPLEN and Wireshark's WTAP_MAX_PACKET_SIZE_STANDARD: no tool writes a longer frame. */
const MAXIMUM_FRAME = 262_144;
const MIB = 1024 * 1024;

const LINKTYPE_USB_LINUX = 189;
const LINKTYPE_USB_LINUX_MMAPPED = 220;
const LINKTYPE_DBUS = 231;
const LINKTYPE_USBPCAP = 249;
const LINKTYPE_EBHSCR = 279;

/** Longest frame a record of this link type may hold, in bytes: the bounds of libpcap and Wireshark. */
export function maximumFrame(linkType: number): number {
  switch (linkType) {
    case LINKTYPE_DBUS:
      return 128 * MIB;
    case LINKTYPE_EBHSCR:
      return 8 * MIB;
    case LINKTYPE_USB_LINUX:
    case LINKTYPE_USB_LINUX_MMAPPED:
    case LINKTYPE_USBPCAP:
      return MIB;
    default:
      return MAXIMUM_FRAME;
  }
}

/** Longest pcapng block, unless an interface of the section may have longer frames. */
export const MAXIMUM_BLOCK = 16 * MIB;

/** Room that a packet block may take beyond its frame: header, padding, options. */
export const MAXIMUM_BLOCK_OVERHEAD = 131_072;
