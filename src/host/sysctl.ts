/** Names and values of sysctls, written as sysctl(8) prints them: `net.ipv4.conf.eth0.rp_filter`. */
import type { Family } from './types.js';

/** Setting of an interface (or `all`, `default`). A dot in an interface's name becomes a slash, as sysctl(8) has it. */
export function interfaceSysctl(family: Family, iface: string, setting: string): string {
  return `net.${family === 4 ? 'ipv4' : 'ipv6'}.conf.${iface.replaceAll('.', '/')}.${setting}`;
}
