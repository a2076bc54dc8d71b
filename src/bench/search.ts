/**
 * The highest rates at which no more than given shares of the packets are lost (RFC 2544 calls the one without loss
 * throughput; CSIT: NDR and PDR). All goals are searched for together: every trial narrows every goal's interval
 * (multiple loss ratio search).
 */

export interface Goal {
  readonly name: string;
  /** Greatest share of packets that may be lost. */
  readonly lossRatio: number;
}

export const NDR: Goal = { name: 'ndr', lossRatio: 0 };
export const PDR: Goal = { name: 'pdr', lossRatio: 0.005 };

export interface FoundRate {
  readonly goal: Goal;
  /** Highest rate that met the goal, below every rate that was seen to fail it; 0: none did. */
  readonly rate: number;
  /** Lowest rate that failed it; infinite: none did. */
  readonly failing: number;
}

export interface SearchOptions {
  /** Rates to search between, packets a second. */
  readonly lowest: number;
  readonly highest: number;
  readonly goals: readonly Goal[];
  /** The search is over when the interval's ends differ by this share. */
  readonly width: number;
}

/** `trial` says which share of the packets is lost at a rate. */
export function searchRates(trial: (rate: number) => number, options: SearchOptions): FoundRate[] {
  const trials: { readonly rate: number; readonly loss: number }[] = [];
  const measure = (rate: number): void => {
    if (!trials.some((known) => known.rate === rate)) trials.push({ rate, loss: trial(rate) });
  };
  const bounds = ({ lossRatio }: Goal): { rate: number; failing: number } => {
    const failing = Math.min(...trials.filter(({ loss }) => loss > lossRatio).map(({ rate }) => rate));
    // A higher rate that happened to do well proves nothing once a lower one has failed.
    const met = trials.filter(({ rate, loss }) => loss <= lossRatio && rate < failing).map(({ rate }) => rate);
    return { rate: Math.max(0, ...met), failing };
  };
  measure(options.highest);
  // The goal that allows most first: its interval is where the others' are looked for.
  const ordered = [...options.goals].sort((a, b) => b.lossRatio - a.lossRatio);
  for (const goal of ordered) {
    if (bounds(goal).rate < options.highest) measure(options.lowest);
    for (;;) {
      const { rate, failing } = bounds(goal);
      if (rate === 0 || failing === Number.POSITIVE_INFINITY || failing / rate <= 1 + options.width) break;
      measure(Math.sqrt(rate * failing));
    }
  }
  return options.goals.map((goal) => ({ goal, ...bounds(goal) }));
}

/**
 * The share of packets that a queue of `capacity` packets (the one being worked on included) turns away, when packet i
 * takes `service[i]` seconds and arrives at i / rate: one server, first come first served, drop-tail.
 */
export function queueLoss(service: ArrayLike<number>, rate: number, capacity: number): number {
  const count = service.length;
  /** Departures of those accepted, a ring: only the last `capacity` can still be there. */
  const departures = new Float64Array(capacity);
  let accepted = 0;
  let gone = 0;
  let last = 0;
  for (let i = 0; i < count; i++) {
    const now = i / rate;
    while (gone < accepted && (departures[gone % capacity] as number) <= now) gone++;
    if (accepted - gone >= capacity) continue;
    last = Math.max(last, now) + (service[i] as number);
    departures[accepted % capacity] = last;
    accepted++;
  }
  return count === 0 ? 0 : 1 - accepted / count;
}
