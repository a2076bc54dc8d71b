/** The host of a verification, twice: as natreplay sees it, and as the file that a gateway is set up from. */
import { readFileSync } from 'node:fs';
import { mergeCaptures } from '../capture/merge.js';
import { openCapture } from '../capture/reader.js';
import { Slab } from '../capture/slab.js';
import type { CaptureReader } from '../capture/types.js';
import type { HostDescription } from '../host/description.js';
import { hostFileOf } from '../host/hostjson.js';
import { statedDescription } from '../host/hostoptions.js';
import { type HostFile, hostSchema } from '../host/hostschema.js';
import { inferDescription } from '../host/infer/infer.js';
import type { CaptureInput } from '../pipeline/replay.js';
import { samplePackets } from '../pipeline/samples.js';
import type { Ruleset } from '../rules/types.js';

export interface StatedHost {
  readonly file?: string | undefined;
  readonly iface: readonly string[];
  readonly route: readonly string[];
}

export interface DescribedHost {
  readonly description: HostDescription;
  readonly hostFile: HostFile;
}

/** The host of a file, of options, or of a file with options over it; undefined if nothing is stated. */
export function statedHostFile(stated: StatedHost): DescribedHost | undefined {
  const description = statedDescription(stated);
  if (description === undefined) return undefined;
  const { file, iface, route } = stated;
  if (file === undefined) return { description, hostFile: hostFileOf(description) };
  const raw = hostSchema.parse(JSON.parse(readFileSync(file, 'utf8').replace(/^\ufeff/, '')));
  if (iface.length === 0 && route.length === 0) return { description, hostFile: raw };
  return { description, hostFile: withOptions(raw, hostFileOf(description)) };
}

/** What options changed, with all that a description does not hold (links' details, policy rules) as in the file. */
function withOptions(raw: HostFile, changed: HostFile): HostFile {
  const details = new Map(raw.addr.map((link) => [link.ifname, link]));
  const addr = changed.addr.map((link) => ({ ...details.get(link.ifname), ...link }));
  return { ...raw, addr, route: changed.route, route6: changed.route6 };
}

/** A host inferred from the rules and the captures' first packets, as a replay would. Throws NatreplayError. */
export async function inferredHostFile(
  captures: readonly CaptureInput[],
  rulesets: readonly Ruleset[],
): Promise<DescribedHost> {
  const readers: CaptureReader[] = [];
  try {
    for (const { path, iface } of captures) readers.push(await openCapture(path, { assignedName: iface }));
    const reader = mergeCaptures(readers);
    const slab = new Slab(512 * 1024);
    await reader.next(slab);
    const description = inferDescription({ rulesets, samples: samplePackets(slab, reader.interfaces) });
    return { description, hostFile: hostFileOf(description) };
  } finally {
    for (const reader of readers) await reader.close();
  }
}
