/**
 * What rules of one host have in common beside the packet: ipsets, and the tables of `recent` and `hashlimit`, which
 * rules share by name, those of both families among them. One for each replay.
 */
import type { Host } from '../../host/types.js';
import { IpSets } from '../ipset/sets.js';
import { JiffyClock } from './clock.js';
import { Journal } from './journal.js';

export class SharedState {
  readonly clock = new JiffyClock();
  readonly journal = new Journal();
  private loaded: IpSets | undefined;
  private readonly objects = new Map<string, unknown>();

  constructor(private readonly host: Host) {}

  /** The host's sets, read when the first rule asks. Throws NatreplayError where their text is wrong. */
  get sets(): IpSets {
    this.loaded ??= IpSets.read(this.host.ipset ?? '', this);
    return this.loaded;
  }

  /** The object of that kind and name, made by the first who asks. A kind always has the same type of object. */
  named<T>(kind: string, name: string, make: () => T): T {
    const key = `${kind} ${name}`;
    const known = this.objects.get(key);
    if (known !== undefined) return known as T;
    const made = make();
    this.objects.set(key, made);
    return made;
  }
}
