/** Opens a gateway, says so, keeps sending, and never closes it: cleanup.test.ts ends this process in various ways. */
import { Gateway } from '../../src/verify/gateway.js';
import { HOME_HOST, HOME_RULES } from './hosts.js';
import { ether, udp } from './packets.js';

const gateway = await Gateway.open({ host: HOME_HOST, rules: HOME_RULES, backend: 'legacy' });
const packet = { iface: 'lan', frame: ether(udp({ src: '192.168.1.9:4000', dst: '198.51.100.1:53' })) };
process.stdout.write('open\n');
process.stdin.on('data', () => {
  throw new Error('nobody catches this');
});
for (;;) await gateway.send(Array.from({ length: 100 }, () => packet));
