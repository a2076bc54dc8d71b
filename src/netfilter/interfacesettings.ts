/** The sysctls of net.ipv4.conf that decide about incoming packets, with the kernel's way of joining `all` and the interface's own. */
import { interfaceSysctl } from '../host/sysctl.js';
import type { Host, HostInterface } from '../host/types.js';

/** Of one interface. */
export interface InterfaceSettings {
  readonly forwarding: boolean;
  /** 0: sources are not checked; 1: they must come in where packets to them go out; 2: some route must lead to them. */
  readonly rpFilter: number;
  readonly acceptLocal: boolean;
  readonly routeLocalnet: boolean;
  readonly sendRedirects: boolean;
  /** All that is on the link may talk to each other, whatever their networks. */
  readonly sharedMedia: boolean;
  /** The check of sources is made with the packet's mark. */
  readonly srcValidMark: boolean;
  readonly bcForwarding: boolean;
  readonly loopback: boolean;
  readonly hasAddress: boolean;
}

/** Settings of each of the host's interfaces; `undefined`: of one that is not known. */
export function settingsOf(host: Host, iface: HostInterface | undefined): InterfaceSettings {
  const read = (scope: string, name: string): number | undefined => {
    const value = host.sysctl(interfaceSysctl(4, scope, name));
    return value === undefined ? undefined : Number(value);
  };
  // An interface that is not mentioned has what new ones get.
  const own = (name: string, fresh: number): number =>
    (iface === undefined ? undefined : read(iface.name, name)) ?? read('default', name) ?? fresh;
  const all = (name: string, fresh: number): number => read('all', name) ?? fresh;
  const either = (name: string, fresh = 0): boolean => all(name, fresh) !== 0 || own(name, fresh) !== 0;
  const forward = host.sysctl('net.ipv4.ip_forward') ?? host.sysctl('net.ipv4.conf.all.forwarding');
  const stated = iface === undefined ? undefined : read(iface.name, 'forwarding');
  return {
    forwarding: stated === undefined ? forward !== '0' : stated !== 0,
    rpFilter: Math.max(all('rp_filter', 0), own('rp_filter', 0)),
    acceptLocal: either('accept_local'),
    routeLocalnet: either('route_localnet'),
    sendRedirects: either('send_redirects', 1),
    sharedMedia: either('shared_media', 1),
    srcValidMark: either('src_valid_mark'),
    bcForwarding: all('bc_forwarding', 0) !== 0 && own('bc_forwarding', 0) !== 0,
    loopback: iface?.loopback === true,
    hasAddress: iface === undefined || iface.addresses.some(({ family }) => family === 4),
  };
}
