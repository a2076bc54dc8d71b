/** The TCP segment in hand, as connection tracking sees it: what of its header counts, and the bytes for its options. */
import {
  TCP_ACK,
  TCP_ACKNOWLEDGEMENT,
  TCP_FIN,
  TCP_FLAGS,
  TCP_SEQUENCE,
  TCP_SYN,
  TCP_WINDOW,
  tcpHeaderLength,
} from '../../packet/transport.js';
import { highestSack, type PeerOptions, readPeerOptions } from './tcpoptions.js';
import { kindOf } from './tcptransitions.js';

export class TcpSegment {
  sequence = 0;
  acknowledgement = 0;
  /** Past its last byte; SYN and FIN count as one each. */
  end = 0;
  /** As the header says it, not scaled. */
  window = 0;
  /** The header's byte of flags, and the kind that they make (SYN, ACK, ... of tcptransitions.ts). */
  flags = 0;
  kind = 0;
  private view = NO_BYTES;
  private tcp = 0;
  private captureEnd = 0;

  /** `tcp`: offset of the header, `length`: bytes of header and data by the IP header, `captureEnd`: past what was captured. */
  read(view: DataView, tcp: number, length: number, captureEnd: number): void {
    const flags = view.getUint8(tcp + TCP_FLAGS);
    this.flags = flags;
    this.kind = kindOf(flags);
    this.sequence = view.getInt32(tcp + TCP_SEQUENCE);
    this.acknowledgement = view.getInt32(tcp + TCP_ACKNOWLEDGEMENT);
    this.window = view.getUint16(tcp + TCP_WINDOW);
    const phantom = ((flags & TCP_SYN) !== 0 ? 1 : 0) + ((flags & TCP_FIN) !== 0 ? 1 : 0);
    this.end = (this.sequence + length - tcpHeaderLength(view, tcp) + phantom) | 0;
    this.view = view;
    this.tcp = tcp;
    this.captureEnd = captureEnd;
  }

  get isSyn(): boolean {
    return (this.flags & TCP_SYN) !== 0;
  }

  get hasAck(): boolean {
    return (this.flags & TCP_ACK) !== 0;
  }

  /** Window scale and SACK of a SYN; false when there are no options at all. */
  options(found: PeerOptions): boolean {
    return readPeerOptions(this.view, this.tcp, this.captureEnd, found);
  }

  /** Highest right edge of what is acknowledged selectively, or `acknowledgement`. */
  sack(): number {
    return highestSack(this.view, this.tcp, this.captureEnd, this.acknowledgement);
  }
}

const NO_BYTES = new DataView<ArrayBufferLike>(new ArrayBuffer(0));
