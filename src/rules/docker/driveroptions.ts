/** Options of the bridge driver (`docker network create -o NAME=VALUE`), which compose files and `docker network inspect` have alike. */
import { type Address, parseAddress } from '../../host/address.js';
import { isInterfaceName } from '../../host/hostoptions.js';
import type { Family } from '../../host/types.js';
import { didYouMean } from '../nearest.js';
import type { GatewayMode } from './firewall.js';
import type { Fail } from './problem.js';
import type { NetworkRequest } from './requests.js';

const BRIDGE = 'com.docker.network.bridge.';
const NETWORK = 'com.docker.network.';
export const GATEWAY_MODES: readonly GatewayMode[] = ['nat', 'nat-unprotected', 'routed', 'isolated'];

export type DriverOptions = Pick<NetworkRequest, 'bridge' | 'icc' | 'masquerade' | 'mode' | 'snat' | 'hostAddress'>;

/** Unknown options say nothing about rules and are let pass. Throws DOCKER_BAD_OPTION. */
export function readDriverOptions(options: ReadonlyMap<string, string>, failAt: (name: string) => Fail): DriverOptions {
  const get = (name: string): [string | undefined, Fail] => [options.get(name), failAt(name)];
  return {
    bridge: interfaceOf(...get(`${BRIDGE}name`)),
    icc: yesOrNo(...get(`${BRIDGE}enable_icc`)),
    masquerade: yesOrNo(...get(`${BRIDGE}enable_ip_masquerade`)),
    mode: {
      4: gatewayMode(...get(`${BRIDGE}gateway_mode_ipv4`)),
      6: gatewayMode(...get(`${BRIDGE}gateway_mode_ipv6`)),
    },
    snat: { 4: address(4, ...get(`${NETWORK}host_ipv4`)), 6: address(6, ...get(`${NETWORK}host_ipv6`)) },
    hostAddress: address(undefined, ...get(`${BRIDGE}host_binding_ipv4`)),
  };
}

function interfaceOf(text: string | undefined, fail: Fail): string | undefined {
  if (text === undefined || text === '') return undefined;
  return isInterfaceName(text)
    ? text
    : fail('DOCKER_BAD_OPTION', `"${text}" is no interface name`, 'use up to 15 letters, digits, "-", "_" and "."');
}

/** What Docker's ParseBool takes. Nothing is yes: that is the default of all of them. */
export function yesOrNo(text: string | undefined, fail: Fail): boolean {
  if (text === undefined || /^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  return fail('DOCKER_BAD_OPTION', `"${text}" is neither true nor false`, 'write true or false');
}

export function gatewayMode(text: string | undefined, fail: Fail): GatewayMode {
  if (text === undefined || text === '') return 'nat';
  const found = GATEWAY_MODES.find((mode) => mode === text);
  const advice = didYouMean(text, GATEWAY_MODES, `there are ${GATEWAY_MODES.join(', ')}`);
  return found ?? fail('DOCKER_BAD_OPTION', `"${text}" is no gateway mode`, advice);
}

function address(family: Family | undefined, text: string | undefined, fail: Fail): Address | undefined {
  if (text === undefined || text === '') return undefined;
  return parseAddress(text, family) ?? fail('DOCKER_BAD_OPTION', `"${text}" is no address`, 'write it in numbers');
}
