/** Puts into the namespaces what layout.ts planned, with the system's own tools, and loads the rules. */
import { NatreplayError } from '../errors.js';
import { fdbBatch, forgetBatch, neighbourBatch } from './bridging.js';
import { withBuiltinChains } from './builtinchains.js';
import { firstLines, run, runChecked } from './commands.js';
import { HEADROOM_BATCH } from './headroom.js';
import {
  addressBatch,
  earlySysctls,
  gatewayNft,
  hostSysctls,
  type Layout,
  offloadScript,
  routeBatch,
  ruleBatch,
  wireNames,
  wiresBatch,
  wiresNft,
} from './layout.js';
import { Namespaces } from './namespaces.js';
import type { GatewayOptions } from './options.js';

/** Interfaces, addresses, routes, settings and sets. Returns the settings that could not be made. */
export async function furnish(
  options: GatewayOptions,
  layout: Layout,
  spaces: Namespaces,
  ipv6: boolean,
): Promise<string[]> {
  const { gateway, wires } = spaces;
  const { host } = options;
  const script = (what: string, namespace: string, text: string): Promise<string> =>
    runChecked(what, Namespaces.inside(namespace, ['sh']), text);
  const batch = (what: string, namespace: string, text: string, family: readonly string[] = []): Promise<string> =>
    runChecked(what, ['ip', ...family, '-netns', namespace, '-batch', '-'], text);

  await script('preparing the namespaces', wires, earlySysctls(false));
  await script('preparing the namespaces', gateway, earlySysctls(ipv6));
  await batch('making interfaces', wires, wiresBatch(layout, gateway));
  await run(['ip', '-netns', wires, '-force', '-batch', '-'], HEADROOM_BATCH);
  const names = [layout.markInterface, ...layout.interfaces.map((i) => i.device)];
  await script('switching offloads off', wires, offloadScript(wireNames(layout)));
  await script('switching offloads off', gateway, offloadScript(names));
  await batch('giving the host its addresses', gateway, addressBatch(layout, ipv6));
  if (layout.bridges.length > 0) {
    const fdb = ['bridge', '-netns', gateway, '-batch', '-'];
    await runChecked('giving bridges their stations', fdb, fdbBatch(layout.bridges));
  }
  const unset = await script('applying sysctls', gateway, hostSysctls(host.sysctl ?? {}, ipv6));
  requireBridgeNetfilter(options, layout, unset);
  if (host.route !== undefined) await loadRoutes(gateway, routeBatch(host.route, layout));
  if (ipv6 && host.route6 !== undefined) await loadRoutes(gateway, routeBatch(host.route6, layout), ['-6']);
  if (host.rule !== undefined) await batch('giving the host its policy rules', gateway, ruleBatch(host.rule));
  if (ipv6 && host.rule6 !== undefined)
    await batch('giving the host its IPv6 policy rules', gateway, ruleBatch(host.rule6), ['-6']);
  if (host.ipset !== undefined && host.ipset.trim() !== '') {
    await runChecked('restoring ipsets', Namespaces.inside(gateway, ['ipset', 'restore']), host.ipset);
  }
  await runChecked('connecting the wires', Namespaces.inside(wires, ['nft', '-f', '-']), wiresNft(layout));
  await runChecked(
    'connecting the host',
    Namespaces.inside(gateway, ['nft', '-f', '-']),
    gatewayNft(layout, options.answers),
  );
  return unset.split('\n').filter((line) => line !== '');
}

/** Throws VERIFY_NEEDS_BR_NETFILTER if iptables is to see what is bridged and this kernel has no part for it. */
function requireBridgeNetfilter({ host }: GatewayOptions, { bridges }: Layout, unset: string): void {
  if (bridges.length === 0) return;
  const missing = unset
    .split('\n')
    .find((name) => name.startsWith('net.bridge.bridge-nf-call-ip') && host.sysctl?.[name] !== '0');
  if (missing === undefined) return;
  throw new NatreplayError(
    'VERIFY_NEEDS_BR_NETFILTER',
    `the host has ${missing} on, and this kernel does not have it`,
    {
      advice: 'load its module: modprobe br_netfilter',
    },
  );
}

/** Throws VERIFY_ROUTE_REFUSED with the route and what the kernel said of it. */
async function loadRoutes(namespace: string, batch: string, family: readonly string[] = []): Promise<void> {
  const result = await run(['ip', ...family, '-netns', namespace, '-batch', '-'], batch);
  if (result.status === 0) return;
  const line = /^Command failed -:(\d+)$/m.exec(result.stderr)?.[1];
  const route = batch.split('\n')[Number(line) - 1]?.replace(/^route append /, '');
  const said = firstLines({ ...result, stderr: result.stderr.replace(/^Command failed.*$/m, '') });
  if (route === undefined)
    throw new NatreplayError('VERIFY_SETUP_FAILED', `giving the host its routes failed: ${said}`, { exitCode: 3 });
  throw new NatreplayError('VERIFY_ROUTE_REFUSED', `the kernel refuses the host's route '${route}': ${said}`, {
    advice: 'correct it in the host file',
  });
}

/** Neighbours on bridges, as rules and capture tell of them; whom the bridges saw is forgotten. */
export async function loadNeighbours(options: GatewayOptions, { bridges }: Layout, namespace: string): Promise<void> {
  if (bridges.length === 0) return;
  const { host, rules, rules6 = '', stations = [] } = options;
  const batch = forgetBatch(bridges) + neighbourBatch(bridges, host, rules + rules6, stations);
  await runChecked('giving the host its neighbours', ['ip', '-netns', namespace, '-batch', '-'], batch);
}

/** Throws VERIFY_RULES_REFUSED with what iptables-restore said. */
export async function loadRules(options: GatewayOptions, namespaces: Namespaces): Promise<void> {
  const load = async (program: string, text: string): Promise<void> => {
    const wait = options.backend === 'legacy' ? ['-w', '30'] : [];
    const complete = options.backend === 'nft' ? withBuiltinChains(text) : text;
    const result = await run(Namespaces.inside(namespaces.gateway, [program, ...wait]), complete);
    if (result.status === 0) return;
    throw new NatreplayError('VERIFY_RULES_REFUSED', `${program} refuses the rules: ${firstLines(result)}`);
  };
  await load(`iptables-${options.backend}-restore`, options.rules);
  if (options.rules6 !== undefined) await load(`ip6tables-${options.backend}-restore`, options.rules6);
}
