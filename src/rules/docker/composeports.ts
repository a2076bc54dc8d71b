/** `ports:` of a service in a compose file, in the short form (as `-p`) and the long one. */
import { expandPorts, type PortRequest, parseHostAddress, parseProtocol, parsePublish, parseRange } from './ports.js';
import type { YamlValue } from './yamlfile.js';

const FORM = 'write target: 80, published: "8080", protocol: tcp, host_ip: 127.0.0.1';

/** Throws DOCKER_BAD_PORT. */
export function composePorts(ports: YamlValue): PortRequest[] {
  return ports.items().flatMap((port) => {
    if (port.isMapping) return longForm(port);
    const text = port.text() ?? '';
    return parsePublish(text, (code, what, advice) => port.fail(code, `${text}: ${what}`, advice));
  });
}

function longForm(port: YamlValue): PortRequest[] {
  const target = port.get('target').text();
  if (target === undefined) return port.fail('DOCKER_BAD_PORT', 'a port without target', FORM);
  const published = port.get('published');
  const text = published.text() ?? '';
  const protocol = port.get('protocol');
  const host = port.get('host_ip');
  return expandPorts(
    {
      protocol: parseProtocol(protocol.text(), protocol.fail),
      container: parseRange(target, 'container port', port.get('target').fail),
      host: text === '' ? undefined : parseRange(text, 'host port', published.fail),
      address: parseHostAddress(host.text() ?? '', host.fail),
    },
    port.fail,
  );
}
