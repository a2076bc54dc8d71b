/** The addresses of one subnet: those that are stated, and the next free one for everybody else. */
import {
  type Address,
  addressBits,
  formatAddress,
  formatPrefix,
  type Prefix,
  prefixContains,
} from '../../host/address.js';
import type { Family } from '../../host/types.js';
import type { Fail } from './problem.js';

export class AddressPool {
  readonly gateway: Address;
  readonly #owners = new Map<bigint, string>();
  #next: bigint;
  readonly #last: bigint;

  /** `range`: where addresses are given out. Throws DOCKER_BAD_ADDRESS for a gateway outside the subnet. */
  constructor(
    readonly subnet: Prefix,
    gateway: Address | undefined,
    range: Prefix | undefined,
    fail: Fail,
  ) {
    const first = toNumber(subnet);
    // IPv4 keeps the first and the last address for itself, IPv6 the first.
    this.#next = toNumber(range ?? subnet);
    if (this.#next === first) this.#next += 1n;
    this.#last = lastOf(range ?? subnet) - (subnet.family === 4 && range === undefined ? 1n : 0n);
    this.gateway = gateway ?? this.#free(fail);
    this.take(this.gateway, 'the gateway', fail);
  }

  /** Throws DOCKER_BAD_ADDRESS when it is not of the subnet or another's. */
  take(address: Address, owner: string, fail: Fail): void {
    const problem = this.#problem(address);
    if (problem !== undefined) fail('DOCKER_BAD_ADDRESS', problem, 'choose another address');
    this.#owners.set(toNumber(address), owner);
  }

  #problem(address: Address): string | undefined {
    const text = formatAddress(address.family, address.words);
    const { family, words, prefixLength } = this.subnet;
    if (address.family !== family || !prefixContains(this.subnet, address.words)) {
      return `${text} is not in the network's subnet ${formatPrefix(family, words, prefixLength)}`;
    }
    const number = toNumber(address);
    const other = this.#owners.get(number);
    if (other !== undefined) return `${text} is taken by ${other}`;
    const edge = number === toNumber(this.subnet) || (family === 4 && number === lastOf(this.subnet));
    return edge ? `${text} stands for the subnet itself` : undefined;
  }

  /** The next free address. Throws DOCKER_BAD_ADDRESS when there is none left. */
  give(owner: string, fail: Fail): Address {
    const address = this.#free(fail);
    this.#owners.set(toNumber(address), owner);
    return address;
  }

  #free(fail: Fail): Address {
    while (this.#owners.has(this.#next)) this.#next += 1n;
    if (this.#next > this.#last) {
      const { family, words, prefixLength } = this.subnet;
      const subnet = formatPrefix(family, words, prefixLength);
      return fail('DOCKER_BAD_ADDRESS', `no address of ${subnet} is left`, 'give the network a larger subnet');
    }
    return toAddress(this.subnet.family, this.#next);
  }
}

function toNumber({ family, words }: Address): bigint {
  return words.slice(0, family === 4 ? 1 : 4).reduce((number, word) => (number << 32n) | BigInt(word), 0n);
}

function toAddress(family: Family, number: bigint): Address {
  const words = new Uint32Array(4);
  const count = family === 4 ? 1 : 4;
  for (let i = 0; i < count; i++) words[i] = Number((number >> BigInt(32 * (count - 1 - i))) & 0xffffffffn);
  return { family, words };
}

function lastOf(prefix: Prefix): bigint {
  return toNumber(prefix) | ((1n << BigInt(addressBits(prefix.family) - prefix.prefixLength)) - 1n);
}
