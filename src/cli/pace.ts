/** The options that say how fast packets follow each other. */
import { NatreplayError } from '../errors.js';
import { type Pace, parseRate, parseSpeed } from '../pipeline/pace.js';

export interface PaceOptions {
  /** The option's name and value: `1Mpps`. */
  readonly rate: readonly [string, string | undefined];
  readonly speed: string | undefined;
  readonly mbps: number | undefined;
}

/** At most one of them; undefined when there is none. Throws USAGE_PACE. */
export function paceOf({ rate: [name, rate], speed, mbps }: PaceOptions): Pace | undefined {
  if ([rate, speed, mbps].filter((one) => one !== undefined).length > 1)
    throw usage(`${name}, --speed and --mbps exclude each other`, 'give one of them');
  if (rate !== undefined) {
    const packetsPerSecond = parseRate(/^[\d.]+$/.test(rate) && name === '--pps' ? `${rate}pps` : rate);
    if (packetsPerSecond === undefined)
      throw usage(`${name} ${rate} is no rate above 0`, 'write it as 1Mpps, 250kpps or 1000pps');
    return { kind: 'rate', packetsPerSecond };
  }
  if (speed !== undefined) {
    const factor = parseSpeed(speed);
    if (factor === undefined) throw usage(`--speed ${speed} is no factor above 0`, 'write it as 2x');
    return { kind: 'speed', factor };
  }
  return mbps === undefined ? undefined : { kind: 'bits', bitsPerSecond: mbps * 1e6 };
}

function usage(what: string, advice: string): NatreplayError {
  return new NatreplayError('USAGE_PACE', what, { advice });
}
