/** `list:set`: other sets, asked one after the other (kernel: ip_set_list_set.c). */
import type { PacketContext } from '../context.js';
import { HZ } from '../state/clock.js';
import type { SharedState } from '../state/shared.js';
import {
  compareCounter,
  type Directions,
  type IpSet,
  type SetAddition,
  type SetOptions,
  type SetQuestion,
  type SkbInfo,
} from './set.js';

interface Member {
  readonly set: IpSet;
  /** Jiffy after which it is gone, 0 for never. */
  readonly until: number;
  readonly skbinfo: SkbInfo | undefined;
  packets: number;
  bytes: number;
}

export interface MemberDetails {
  readonly timeout: number;
  readonly packets: number;
  readonly bytes: number;
  readonly skbinfo: SkbInfo | undefined;
}

export class ListSet implements IpSet {
  readonly type = 'list:set';
  readonly dimensions = 1;
  private readonly members: Member[] = [];

  constructor(
    readonly name: string,
    readonly options: SetOptions,
    private readonly shared: SharedState,
  ) {}

  get count(): number {
    return this.members.length;
  }

  /** Timeouts count from the beginning of the capture. */
  append(set: IpSet, { timeout, packets, bytes, skbinfo }: MemberDetails): void {
    this.members.push({ set, until: timeout * HZ, packets, bytes, skbinfo });
  }

  has(set: IpSet): boolean {
    return this.members.some((member) => member.set === set);
  }

  test(packet: PacketContext, question: SetQuestion, info?: SkbInfo): boolean {
    const updateCounters = question.updateCounters && question.updateSubcounters;
    const ofMember = { ...question, packets: undefined, bytes: undefined, updateCounters };
    for (const member of this.living(packet)) {
      if (!member.set.test(packet, ofMember, info)) continue;
      if (this.options.counters) {
        if (question.updateCounters) this.count1(packet, member);
        if (!compareCounter(member.packets, question.packets)) continue;
        if (!compareCounter(member.bytes, question.bytes)) continue;
      }
      if (info !== undefined && this.options.skbinfo && member.skbinfo !== undefined)
        Object.assign(info, member.skbinfo);
      return true;
    }
    return false;
  }

  /** To the first member that takes it. */
  add(packet: PacketContext, addition: SetAddition): boolean {
    return this.living(packet).some(({ set }) => set.add(packet, addition));
  }

  remove(packet: PacketContext, dimensions: number, directions: Directions): boolean {
    return this.living(packet).some(({ set }) => set.remove(packet, dimensions, directions));
  }

  private living(packet: PacketContext): readonly Member[] {
    if (this.options.timeout === undefined) return this.members;
    const now = this.shared.clock.now(packet);
    return this.members.filter(({ until }) => until === 0 || now <= until);
  }

  private count1(packet: PacketContext, member: Member): void {
    const { packets, bytes } = member;
    const { journal } = this.shared;
    if (journal.active) journal.note(packet, () => Object.assign(member, { packets, bytes }));
    member.packets++;
    member.bytes += packet.totalLength;
  }
}
