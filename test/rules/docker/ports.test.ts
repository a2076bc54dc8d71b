/** `-p`: what Docker takes, what it makes of it, and what is said about the rest. */
import { describe, expect, it } from 'vitest';
import { NatreplayError } from '../../../src/errors.js';
import { parsePublish, portText } from '../../../src/rules/docker/ports.js';
import { failAtOption } from '../../../src/rules/docker/problem.js';

const ports = (text: string): string[] => parsePublish(text, failAtOption('-p', text)).map(portText);

describe('published ports', () => {
  it.each<[string, string[]]>([
    ['80', ['80/tcp']],
    ['8799:1337', ['8799:1337/tcp']],
    ['53:53/udp', ['53:53/udp']],
    ['9899:9899/SCTP', ['9899:9899/sctp']],
    ['0:80', ['80/tcp']],
    [':80', ['80/tcp']],
    ['127.0.0.1:8080:80', ['127.0.0.1:8080:80/tcp']],
    ['127.0.0.1::80', ['127.0.0.1::80/tcp']],
    ['0.0.0.0:80:80', ['0.0.0.0:80:80/tcp']],
    ['[::1]:80:80', ['[::1]:80:80/tcp']],
    ['[2001:db8::1]::80/udp', ['[2001:db8::1]::80/udp']],
    ['2001:db8::1:80:80', ['[2001:db8::1]:80:80/tcp']],
    ['8000-8002:80-82', ['8000:80/tcp', '8001:81/tcp', '8002:82/tcp']],
    ['8000-8010:80', ['8000-8010:80/tcp']],
    ['80-82', ['80/tcp', '81/tcp', '82/tcp']],
    ['65535:65535', ['65535:65535/tcp']],
  ])('%s', (text, expected) => {
    expect(ports(text)).toEqual(expected);
  });

  it.each<[string, string]>([
    ['', 'there is no container port'],
    ['80:', 'there is no container port'],
    ['70000', '70000 is no container port; the largest port is 65535'],
    ['65536:80', '65536 is no host port'],
    ['80:0', 'a container port cannot be 0'],
    ['0-3:80', 'cannot begin with 0'],
    ['80:80/xyz', '"xyz" is no protocol that can be published; Docker publishes tcp, udp, sctp'],
    ['80:80/udpp', 'did you mean udp?'],
    ['80:80/tcp/udp', 'more than one "/"'],
    ['80:80/', '"" is no protocol'],
    ['http:80', '"http" is no host port'],
    ['80:-80', '"-80" is no container port'],
    ['1-2-3:80', '"1-2-3" is no host port'],
    ['90-80:1-11', 'the host ports 90-80 run backwards; write 80-90'],
    ['8000-8010:80-85', '11 host ports stand for 6 container ports'],
    ['1.2.3.400:80:80', '"1.2.3.400" is no address of the host'],
    ['host:80:80', '"host" is no address of the host'],
    ['[::1:80:80', 'the brackets do not fit'],
    ['[::1]80:80', 'the brackets do not fit'],
    ['[::1]:80', 'behind the address two ports must follow'],
    ['1'.repeat(100_000), 'is no container port'],
  ])('%s is refused', (text, message) => {
    expect(() => ports(text)).toThrow(NatreplayError);
    expect(() => ports(text)).toThrow(message);
  });
});
