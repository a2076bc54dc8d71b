/** Subnets as Docker's address management gives them out: stated ones, else the next of its pools that is free. */
import { createHash } from 'node:crypto';
import { addressBits, formatPrefix, networkOf, type Prefix, parsePrefix, prefixContains } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import type { Fail } from './problem.js';

export interface TakenSubnet {
  readonly prefix: Prefix;
  /** For messages: `network back`, `eth0`. */
  readonly owner: string;
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  if (a.family !== b.family) return false;
  return a.prefixLength <= b.prefixLength ? prefixContains(a, b.words) : prefixContains(b, a.words);
}

export class SubnetPool {
  readonly #taken: TakenSubnet[];

  /** `avoid`: what the host is connected to already. */
  constructor(avoid: readonly TakenSubnet[]) {
    this.#taken = [...avoid];
  }

  /** Throws DOCKER_SUBNET_CLASH when another has it, or a part of it. */
  take(prefix: Prefix, owner: string, fail: Fail): void {
    const other = this.#taken.find((taken) => overlaps(taken.prefix, prefix));
    if (other !== undefined) {
      const what = `the subnet ${text(prefix)} overlaps with ${text(other.prefix)} of ${other.owner}`;
      fail('DOCKER_SUBNET_CLASH', what, `choose another, e.g. ${text(this.#free4() ?? prefix)}`);
    }
    this.#taken.push({ prefix, owner });
  }

  /** The next free IPv4 subnet of Docker's default pools. Throws DOCKER_SUBNET_CLASH when there is none left. */
  next4(owner: string, fail: Fail): Prefix {
    const prefix = this.#free4();
    if (prefix === undefined) return fail('DOCKER_SUBNET_CLASH', "Docker's address pools are used up", 'state subnets');
    this.#taken.push({ prefix, owner });
    return prefix;
  }

  /** Docker draws a unique local prefix (RFC 4193); here it comes of the name, so that it is always the same. */
  next6(owner: string, fail: Fail): Prefix {
    const digest = createHash('sha256').update(owner).digest();
    const words = Uint32Array.of(
      (0xfd000000 | (digest.readUInt32BE(0) >>> 8)) >>> 0,
      digest.readUInt16BE(4) << 16,
      0,
      0,
    );
    const prefix: Prefix = { family: 6, words, prefixLength: 64 };
    this.take(prefix, owner, fail);
    return prefix;
  }

  #free4(): Prefix | undefined {
    for (const prefix of pools4()) if (!this.#taken.some((taken) => overlaps(taken.prefix, prefix))) return prefix;
    return undefined;
  }
}

/** 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in pieces of /20. */
function* pools4(): Generator<Prefix> {
  for (let i = 17; i <= 31; i++)
    yield { family: 4, words: Uint32Array.of((172 << 24) | (i << 16), 0, 0, 0), prefixLength: 16 };
  for (let i = 0; i < 16; i++) {
    yield { family: 4, words: Uint32Array.of(0xc0a80000 | (i << 12), 0, 0, 0), prefixLength: 20 };
  }
}

const text = ({ family, words, prefixLength }: Prefix): string => formatPrefix(family, words, prefixLength);

/** A network's subnet as written; host bits are cleared, as Docker clears them. Undefined if it is none. */
export function parseSubnet(written: string, family?: Family): Prefix | undefined {
  const prefix = written.includes('/') ? parsePrefix(written, family) : undefined;
  if (prefix === undefined || prefix.prefixLength > addressBits(prefix.family) - 2) return undefined;
  return { ...prefix, words: networkOf(prefix.family, prefix.words, prefix.prefixLength) };
}
