/** `networks:` of a compose file. */
import { parseAddress } from '../../host/address.js';
import { readDriverOptions } from './driveroptions.js';
import { DEFAULT_NETWORK, type NetworkRequest, type SubnetRequest } from './requests.js';
import { parseSubnet } from './subnets.js';
import type { YamlValue } from './yamlfile.js';

export interface ComposeNetwork {
  /** Undefined where containers have a network, but none that Docker writes rules for. */
  readonly name: string | undefined;
  readonly mode: 'bridge' | 'host' | 'none';
  /** Undefined where it is there without being asked for (docker0). */
  readonly request: NetworkRequest | undefined;
}

/** By the key in the file; `default` is always there. */
export function composeNetworks(networks: YamlValue, project: string, warnings: string[]): Map<string, ComposeNetwork> {
  const found = new Map<string, ComposeNetwork>();
  const stated = networks.entries();
  if (!stated.some(([key]) => key === 'default'))
    found.set('default', bridge(networks.get('default'), `${project}_default`));
  for (const [key, network] of stated) found.set(key, composeNetwork(key, network, project, warnings));
  return found;
}

function composeNetwork(key: string, network: YamlValue, project: string, warnings: string[]): ComposeNetwork {
  const external = network.get('external');
  const isExternal = external.isMapping || external.yes();
  const old = external.isMapping ? external.get('name').text() : undefined;
  const name = network.get('name').text() ?? old ?? (isExternal ? key : `${project}_${key}`);
  if (isExternal && name === DEFAULT_NETWORK) return { name, mode: 'bridge', request: undefined };
  const driver = network.get('driver').text() ?? (isExternal && (name === 'host' || name === 'none') ? name : 'bridge');
  if (driver === 'host' || driver === 'none') return { name, mode: driver, request: undefined };
  if (driver !== 'bridge') {
    warnings.push(`network ${name}: for the driver ${driver} Docker's bridge writes no rules; left out`);
    return { name: undefined, mode: 'bridge', request: undefined };
  }
  if (isExternal) {
    warnings.push(
      `network ${name} is external: a bridge network with Docker's defaults is assumed; --inspect states it`,
    );
  }
  return bridge(network, name);
}

function bridge(network: YamlValue, name: string): ComposeNetwork {
  const options = network.get('driver_opts');
  const values = new Map(options.entries().map(([key, value]) => [key, value.text() ?? '']));
  const subnets = network.get('ipam').get('config').items().flatMap(subnet);
  const request: NetworkRequest = {
    ...readDriverOptions(values, (option) => options.get(option).fail),
    name,
    id: undefined,
    internal: network.get('internal').yes(),
    ipv4: network.get('enable_ipv4').yes(true),
    ipv6: network.get('enable_ipv6').yes(),
    subnets: network.get('enable_ipv6').yes() ? subnets : subnets.filter((one) => one.subnet.family === 4),
    fail: network.fail,
  };
  return { name, mode: 'bridge', request };
}

function subnet(config: YamlValue): SubnetRequest[] {
  const value = config.get('subnet');
  const text = value.text();
  if (text === undefined) return [];
  const advice = 'write e.g. 172.20.0.0/16 or fd00:20::/64';
  const found = parseSubnet(text) ?? value.fail('DOCKER_BAD_NETWORK', `"${text}" is no subnet`, advice);
  const gateway = config.get('gateway');
  const gatewayText = gateway.text();
  const range = config.get('ip_range');
  const rangeText = range.text();
  return [
    {
      subnet: found,
      gateway:
        gatewayText === undefined
          ? undefined
          : (parseAddress(gatewayText, found.family) ??
            gateway.fail('DOCKER_BAD_NETWORK', `"${gatewayText}" is no gateway of ${text}`, advice)),
      range:
        rangeText === undefined
          ? undefined
          : (parseSubnet(rangeText, found.family) ??
            range.fail('DOCKER_BAD_NETWORK', `"${rangeText}" is no part of ${text}`, advice)),
    },
  ];
}
