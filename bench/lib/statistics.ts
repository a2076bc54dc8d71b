export interface Quartiles {
  readonly min: number;
  readonly q1: number;
  readonly median: number;
  readonly q3: number;
  readonly max: number;
}

/** Quartiles by linear interpolation between the sorted values (the usual "type 7"). At least one value. */
export function quartiles(values: readonly number[]): Quartiles {
  if (values.length === 0) throw new RangeError('quartiles of nothing');
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number => {
    const position = share * (sorted.length - 1);
    const below = Math.floor(position);
    const low = sorted[below] as number;
    const high = sorted[Math.min(below + 1, sorted.length - 1)] as number;
    return low + (high - low) * (position - below);
  };
  return { min: at(0), q1: at(0.25), median: at(0.5), q3: at(0.75), max: at(1) };
}
