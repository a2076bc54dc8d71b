/** Docker hosts as options state them, for the tests of its rules. */
import { parseAddress } from '../../../src/host/address.js';
import type { Family } from '../../../src/host/types.js';
import type { Style } from '../../../src/rules/docker/firewall.js';
import { type DaemonOptions, dockerRules } from '../../../src/rules/docker/index.js';
import {
  type ContainerWord,
  type DefaultNetworkOptions,
  defaultNetwork,
  parseNetwork,
  readContainerWords,
} from '../../../src/rules/docker/optiontext.js';
import { type Settled, settle } from '../../../src/rules/docker/settle.js';

export interface DockerCase {
  readonly style: Style;
  /** `web=172.17.0.4` is a container, `-p 80:80` what it publishes. */
  readonly words: readonly string[];
  readonly networks?: readonly string[];
  readonly docker0?: Partial<DefaultNetworkOptions>;
  readonly userlandProxy?: boolean;
  readonly allowDirectRouting?: boolean;
  readonly ip?: string;
}

export function settledCase({
  style,
  words,
  networks = [],
  docker0,
  userlandProxy = true,
  ip = '',
}: DockerCase): Settled {
  const requests = [defaultNetwork({ icc: true, masquerade: true, ...docker0 }), ...networks.map(parseNetwork)];
  const containers = readContainerWords(
    words.map((word): ContainerWord => {
      if (word.startsWith('-p ')) return { kind: 'publish', text: word.slice(3) };
      return { kind: 'container', text: word };
    }),
  );
  return settle(requests, containers, { style, userlandProxy, hostAddress: parseAddress(ip), avoid: [] });
}

export function rulesOf(one: DockerCase, family: Family = 4): string {
  const { style, userlandProxy = true, allowDirectRouting } = one;
  const daemon: DaemonOptions = { style, userlandProxy, allowDirectRouting, forwardPolicy: 'DROP' };
  return dockerRules(settledCase(one), family, daemon);
}

/** The rules of some chains, `table` first; without `-A CHAIN`. */
export function chainsOf(text: string, table: string, ...chains: readonly string[]): string[] {
  const lines = text.split(`*${table}\n`)[1]?.split('COMMIT')[0]?.split('\n') ?? [];
  return lines.flatMap((line) => {
    const [, chain = '', rule = ''] = /^-A (\S+) (.*)$/.exec(line) ?? [];
    return chains.includes(chain) ? [rule] : [];
  });
}
