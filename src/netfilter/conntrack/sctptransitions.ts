/**
 * States of an SCTP association and how chunks change them, as connection tracking sees it (kernel:
 * nf_conntrack_proto_sctp.c, sctp_conntracks). The names are those of RFC 9260 section 4, from the middle of the wire.
 */

/** SCTP states (kernel: enum sctp_conntrack), in its order. */
export const SCTP_NONE = 0;
export const SCTP_CLOSED = 1;
export const SCTP_COOKIE_WAIT = 2;
export const SCTP_COOKIE_ECHOED = 3;
export const SCTP_ESTABLISHED = 4;
export const SCTP_SHUTDOWN_SENT = 5;
export const SCTP_SHUTDOWN_RECEIVED = 6;
export const SCTP_SHUTDOWN_ACK_SENT = 7;
export const SCTP_HEARTBEAT_SENT = 8;
/** Not a state: the chunk does not belong there. */
export const SCTP_INVALID = 255;

/** As /proc/net/nf_conntrack and `conntrack -L` name them. */
export const SCTP_STATE_NAMES: readonly string[] = [
  'NONE',
  'CLOSED',
  'COOKIE_WAIT',
  'COOKIE_ECHOED',
  'ESTABLISHED',
  'SHUTDOWN_SENT',
  'SHUTDOWN_RECD',
  'SHUTDOWN_ACK_SENT',
  'HEARTBEAT_SENT',
];

/** Chunk types (RFC 9260 section 3.2). */
export const CHUNK_DATA = 0;
export const CHUNK_INIT = 1;
export const CHUNK_INIT_ACK = 2;
export const CHUNK_HEARTBEAT = 4;
export const CHUNK_HEARTBEAT_ACK = 5;
export const CHUNK_ABORT = 6;
export const CHUNK_SHUTDOWN = 7;
export const CHUNK_SHUTDOWN_ACK = 8;
export const CHUNK_ERROR = 9;
export const CHUNK_COOKIE_ECHO = 10;
export const CHUNK_COOKIE_ACK = 11;
export const CHUNK_SHUTDOWN_COMPLETE = 14;

/** Chunks that can change the state; DATA, SACK and the rest never do. */
const MOVING = [
  CHUNK_INIT,
  CHUNK_INIT_ACK,
  CHUNK_ABORT,
  CHUNK_SHUTDOWN,
  CHUNK_SHUTDOWN_ACK,
  CHUNK_ERROR,
  CHUNK_COOKIE_ECHO,
  CHUNK_COOKIE_ACK,
  CHUNK_SHUTDOWN_COMPLETE,
  CHUNK_HEARTBEAT,
  CHUNK_HEARTBEAT_ACK,
];

/** What each state does with a chunk; one that is not named stays where it is, or goes where `others` says. */
interface Row {
  readonly others?: number;
  readonly moves: Readonly<Record<number, number>>;
}

const SHUTTING_DOWN = { [CHUNK_ABORT]: SCTP_CLOSED, [CHUNK_SHUTDOWN_ACK]: SCTP_SHUTDOWN_ACK_SENT };
const LAST_STEP: Row = { moves: { [CHUNK_ABORT]: SCTP_CLOSED, [CHUNK_SHUTDOWN_COMPLETE]: SCTP_CLOSED } };

/** By state, of packets in the original direction. */
const ORIGINAL_ROWS: readonly Row[] = [
  {
    others: SCTP_CLOSED,
    moves: { [CHUNK_SHUTDOWN_ACK]: SCTP_SHUTDOWN_ACK_SENT, [CHUNK_HEARTBEAT]: SCTP_HEARTBEAT_SENT },
  },
  { moves: {} },
  { moves: { [CHUNK_ABORT]: SCTP_CLOSED, [CHUNK_COOKIE_ECHO]: SCTP_COOKIE_ECHOED } },
  { moves: { [CHUNK_ABORT]: SCTP_CLOSED, [CHUNK_COOKIE_ACK]: SCTP_ESTABLISHED } },
  { moves: { [CHUNK_ABORT]: SCTP_CLOSED, [CHUNK_SHUTDOWN]: SCTP_SHUTDOWN_SENT } },
  { moves: { ...SHUTTING_DOWN, [CHUNK_INIT]: SCTP_CLOSED } },
  { moves: { ...SHUTTING_DOWN, [CHUNK_INIT]: SCTP_CLOSED } },
  LAST_STEP,
  {
    others: SCTP_CLOSED,
    moves: {
      [CHUNK_INIT]: SCTP_COOKIE_WAIT,
      [CHUNK_SHUTDOWN_ACK]: SCTP_SHUTDOWN_ACK_SENT,
      [CHUNK_HEARTBEAT]: SCTP_HEARTBEAT_SENT,
      [CHUNK_HEARTBEAT_ACK]: SCTP_HEARTBEAT_SENT,
    },
  },
];

/** By state, of packets in the reply direction. */
const REPLY_ROWS: readonly Row[] = [
  { others: SCTP_INVALID, moves: {} },
  { moves: { [CHUNK_INIT_ACK]: SCTP_COOKIE_WAIT } },
  { moves: { [CHUNK_ABORT]: SCTP_CLOSED, [CHUNK_COOKIE_ECHO]: SCTP_COOKIE_ECHOED } },
  { moves: { [CHUNK_ABORT]: SCTP_CLOSED, [CHUNK_ERROR]: SCTP_CLOSED, [CHUNK_COOKIE_ACK]: SCTP_ESTABLISHED } },
  { moves: { [CHUNK_ABORT]: SCTP_CLOSED, [CHUNK_SHUTDOWN]: SCTP_SHUTDOWN_RECEIVED } },
  { moves: SHUTTING_DOWN },
  { moves: SHUTTING_DOWN },
  LAST_STEP,
  {
    others: SCTP_INVALID,
    moves: { [CHUNK_HEARTBEAT]: SCTP_HEARTBEAT_SENT, [CHUNK_HEARTBEAT_ACK]: SCTP_ESTABLISHED },
  },
];

const STATES = SCTP_STATE_NAMES.length;
const CHUNKS = 16;

const TABLES = [tableOf(ORIGINAL_ROWS), tableOf(REPLY_ROWS)] as const;

function tableOf(rows: readonly Row[]): Uint8Array {
  const table = new Uint8Array(STATES * CHUNKS);
  rows.forEach(({ others, moves }, state) => {
    for (let chunk = 0; chunk < CHUNKS; chunk++) table[state * CHUNKS + chunk] = state;
    for (const chunk of MOVING) table[state * CHUNKS + chunk] = moves[chunk] ?? others ?? state;
  });
  return table;
}

/** The state after a chunk, or SCTP_INVALID. */
export function sctpNextState(direction: number, state: number, chunk: number): number {
  if (chunk >= CHUNKS) return state;
  return (direction === 0 ? TABLES[0] : TABLES[1])[state * CHUNKS + chunk] as number;
}
