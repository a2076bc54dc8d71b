/** The profiles there are. Adding one is a file in profiles/ and its place here. */
import { NatreplayError } from '../errors.js';
import { didYouMean } from '../rules/nearest.js';
import type { Profile } from './plan.js';
import { csitNat44, csitNat44Tcp } from './profiles/csit.js';
import { docker } from './profiles/docker.js';
import { synFlood } from './profiles/flood.js';
import { home } from './profiles/home.js';
import { kubernetes } from './profiles/kubernetes.js';
import { fragments, icmpErrors, mixed } from './profiles/odd.js';
import { bytes64, imix } from './profiles/sized.js';

export const PROFILES: readonly Profile[] = [
  docker,
  home,
  kubernetes,
  csitNat44,
  csitNat44Tcp,
  imix,
  bytes64,
  synFlood,
  icmpErrors,
  fragments,
  mixed,
];

/** Throws GENERATE_UNKNOWN_PROFILE. */
export function profileNamed(name: string): Profile {
  const profile = PROFILES.find((each) => each.name === name);
  if (profile !== undefined) return profile;
  const names = PROFILES.map((each) => each.name);
  throw new NatreplayError('GENERATE_UNKNOWN_PROFILE', `no profile '${name}'`, {
    advice: didYouMean(name, names, `there are ${names.join(', ')}`),
  });
}
