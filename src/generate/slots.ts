/** Open connections, side by side in an Int32Array: what a packet needs to know, in one cache line of 16 words. */
export const SLOT = 16;

export const INDEX = 0;
/** Packets sent, and packets in all. */
export const POSITION = 1;
export const LENGTH = 2;
/** What either side sends next; kinds other than TCP note something of their own there. */
export const INITIATOR_SEQ = 3;
export const RESPONDER_SEQ = 4;
/** Who sent last, and how often in a row. */
export const LAST_SIDE = 5;
export const RUN = 6;
/** Where the last packet came in. */
export const INGRESS = 7;
export const FLAGS = 8;
/** Source, destination and ports, as either side's packets come in. */
export const INITIATOR = 9;
export const RESPONDER = 12;
export const EXTRA = 15;

/** Of FLAGS: the kind, IPv6, and how far to shift for the interfaces. */
export const KIND = 7;
export const IPV6 = 8;
export const INITIATOR_INGRESS = 8;
export const RESPONDER_INGRESS = 12;
