/** What `docker network inspect` and `docker inspect` print, of which only what decides about rules is looked at. */
import * as z from 'zod';

const text = z.string().nullish();
const yes = z.boolean().nullish();

export const networkSchema = z.looseObject({
  Name: z.string().min(1),
  Id: text,
  Created: text,
  Driver: z.string(),
  EnableIPv4: yes,
  EnableIPv6: yes,
  Internal: yes,
  IPAM: z
    .looseObject({
      Config: z.array(z.looseObject({ Subnet: text, Gateway: text, IPRange: text })).nullish(),
    })
    .nullish(),
  Options: z.record(z.string(), z.string()).nullish(),
  Containers: z.record(z.string(), z.looseObject({ Name: text, IPv4Address: text, IPv6Address: text })).nullish(),
});

const binding = z.looseObject({ HostIp: text, HostPort: text });
const bindings = z.record(z.string(), z.array(binding).nullish()).nullish();

export const containerSchema = z.looseObject({
  Id: text,
  Name: z.string().min(1),
  State: z.looseObject({ Running: yes, StartedAt: text }).nullish(),
  HostConfig: z.looseObject({ NetworkMode: text, PortBindings: bindings }),
  NetworkSettings: z.looseObject({
    Ports: bindings,
    Networks: z
      .record(
        z.string(),
        z.looseObject({ NetworkID: text, IPAddress: text, GlobalIPv6Address: text, GwPriority: z.number().nullish() }),
      )
      .nullish(),
  }),
});

export type NetworkJson = z.infer<typeof networkSchema>;
export type ContainerJson = z.infer<typeof containerSchema>;
