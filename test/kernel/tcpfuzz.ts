/**
 * Random segments of TCP connections, near the edges of windows and states, through kernel and engine; after every
 * single segment the entries must be alike. Exit status 1 when any differs:
 *
 *   npx tsx test/kernel/tcpfuzz.ts --seeds 10 [--first 1] [--connections 200] [--segments 30] [--sysctl tcp_be_liberal=1]...
 */
import { parseArgs } from 'node:util';
import { SeededRandom } from './random.js';
import { playSegments, saySegment, sayTracked } from './segments.js';
import { differingScripts, randomScript } from './tcpscripts.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5' },
    first: { type: 'string', default: '1' },
    connections: { type: 'string', default: '200' },
    segments: { type: 'string', default: '30' },
    sysctl: { type: 'string', multiple: true, default: [] },
  },
});
const sysctl = Object.fromEntries(
  values.sysctl.map((setting) => {
    const [name = '', value = ''] = setting.split('=');
    return [`net.netfilter.nf_conntrack_${name}`, value];
  }),
);
let sent = 0;
let failed = 0;
const first = Number(values.first);
for (let seed = first; seed < first + Number(values.seeds); seed++) {
  const random = new SeededRandom(seed);
  const scripts = Array.from({ length: Number(values.connections) }, () =>
    randomScript(random, Number(values.segments)),
  );
  const played = await playSegments(scripts, sysctl);
  sent += scripts.reduce((sum, script) => sum + script.length, 0);
  const differing = differingScripts(played);
  failed += differing.length;
  for (const { script, step } of differing.slice(0, 3)) {
    console.log(`seed ${seed}, connection ${script}`);
    for (let k = 0; k <= step; k++) {
      const segment = scripts[script]?.[k];
      const kernel = played.kernel[script]?.[k];
      const engine = played.engine[script]?.[k];
      if (segment === undefined || kernel === undefined || engine === undefined) continue;
      console.log(`  ${saySegment(segment).padEnd(60)} ${sayTracked(kernel).padEnd(40)} ${sayTracked(engine)}`);
    }
  }
}
console.log(`${sent} segments, ${failed} connections differ`);
process.exitCode = failed === 0 ? 0 : 1;
