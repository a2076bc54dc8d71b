/**
 * The shape of a host file: what `ip -j` prints, of which only what is needed is looked at. iproute2 adds fields and leaves
 * out what is zero, so unknown keys are let pass and nearly everything is optional.
 */
import * as z from 'zod';
import { parseAddress, parsePrefix } from './address.js';

const addressText = z
  .string()
  .refine((text) => parseAddress(text) !== undefined, { error: (issue) => `'${issue.input}' is not an address` });

const destinationText = z.string().refine((text) => text === 'default' || parsePrefix(text) !== undefined, {
  error: (issue) => `'${issue.input}' is neither 'default' nor a prefix such as 192.0.2.0/24`,
});

const flags = z.array(z.string()).optional();
const count = z.number().int().nonnegative();

const addressInfo = z.looseObject({
  family: z.string().optional(),
  local: addressText.optional(),
  address: addressText.optional(),
  prefixlen: count.max(128).optional(),
  broadcast: addressText.optional(),
  scope: z.union([z.string(), z.number()]).optional(),
  secondary: z.boolean().optional(),
  tentative: z.boolean().optional(),
  dadfailed: z.boolean().optional(),
  deprecated: z.boolean().optional(),
  noprefixroute: z.boolean().optional(),
});

const linkinfo = z
  .looseObject({
    info_kind: z.string().optional(),
    info_data: z
      .looseObject({
        id: count.max(4095).optional(),
        protocol: z.string().optional(),
        nf_call_iptables: z.union([z.number(), z.boolean()]).optional(),
        nf_call_ip6tables: z.union([z.number(), z.boolean()]).optional(),
      })
      .optional(),
    info_slave_kind: z.string().optional(),
    info_slave_data: z.looseObject({ hairpin: z.boolean().optional() }).optional(),
  })
  .optional();

const link = z.looseObject({
  // `ip -j -4 addr` prints {} for interfaces it leaves out.
  ifname: z.string().min(1).optional(),
  ifindex: count.optional(),
  flags,
  mtu: count.optional(),
  link_type: z.string().optional(),
  address: z.string().optional(),
  master: z.string().optional(),
  link: z.string().optional(),
  linkinfo,
  addr_info: z.array(addressInfo).optional(),
});

const via = z.looseObject({ family: z.string().optional(), host: addressText });

const nexthop = z.looseObject({
  dev: z.string().optional(),
  gateway: addressText.optional(),
  via: via.optional(),
  flags,
});

const route = z.looseObject({
  dst: destinationText,
  type: z.string().optional(),
  dev: z.string().optional(),
  gateway: addressText.optional(),
  via: via.optional(),
  table: z.union([z.string(), z.number()]).optional(),
  metric: count.optional(),
  prefsrc: addressText.optional(),
  protocol: z.union([z.string(), z.number()]).optional(),
  tos: z.union([z.string(), z.number()]).optional(),
  from: z.string().optional(),
  pref: z.string().optional(),
  flags,
  nexthops: z.array(nexthop).optional(),
});

const numberOrText = z.union([z.string(), z.number()]).optional();
const port = count.max(65535).optional();

const rule = z.looseObject({
  priority: count.optional(),
  src: z.string().optional(),
  srclen: count.max(128).optional(),
  dst: z.string().optional(),
  dstlen: count.max(128).optional(),
  fwmark: numberOrText,
  fwmask: numberOrText,
  iif: z.string().optional(),
  oif: z.string().optional(),
  tos: numberOrText,
  dscp: numberOrText,
  ipproto: numberOrText,
  sport: port,
  sport_start: port,
  sport_end: port,
  dport: port,
  dport_start: port,
  dport_end: port,
  uid_start: count.optional(),
  uid_end: count.optional(),
  table: numberOrText,
  suppress_prefixlen: z.number().int().optional(),
  suppress_ifgroup: numberOrText,
  goto: count.optional(),
  action: z.string().optional(),
});
const sysctlValue = z.union([z.string(), z.number(), z.boolean()]).transform((value) => {
  if (typeof value === 'boolean') return value ? '1' : '0';
  return String(value).trim();
});

export const hostSchema = z.looseObject({
  addr: z.array(link),
  route: z.array(route).optional(),
  route6: z.array(route).optional(),
  rule: z.array(rule).optional(),
  rule6: z.array(rule).optional(),
  sysctl: z.record(z.string(), sysctlValue).optional(),
  iptables: z.string().optional(),
  ip6tables: z.string().optional(),
  ipset: z.string().optional(),
});

export type HostFile = z.infer<typeof hostSchema>;
export type LinkJson = z.infer<typeof link>;
export type AddressJson = z.infer<typeof addressInfo>;
export type RouteJson = z.infer<typeof route>;
export type RuleJson = z.infer<typeof rule>;
export type NexthopJson = z.infer<typeof nexthop>;
