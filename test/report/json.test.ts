import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { jsonReport, jsonReportSchema, jsonReportText, reportSchema } from '../../src/report/json.js';
import { DOCKER_RESULT } from './fixture.js';

describe('the report as JSON', () => {
  it('keeps to its own schema', () => {
    expect(reportSchema.parse(jsonReport(DOCKER_RESULT))).toEqual(jsonReport(DOCKER_RESULT));
  });

  it('has what became of fragments, zeros where none came', () => {
    const { fragments, ...without } = DOCKER_RESULT;
    expect(jsonReport(DOCKER_RESULT).fragments).toEqual(fragments);
    expect(new Set(Object.values(jsonReport(without).fragments))).toEqual(new Set([0]));
  });

  it('is version 1, with counts, rates and every rule with its counters', () => {
    const report = jsonReport(DOCKER_RESULT);
    expect(report).toMatchObject({
      schema: 1,
      records: 1_000_000,
      packetsPerSecond: 1_000_000 / 0.412,
      verdicts: { forward: 880_000, translated: 867_345 },
      reasons: [{ reason: 'no-route', packets: 7000 }, {}, {}],
      captureSeconds: { first: 1_714_557_600, last: 1_714_557_723.5 },
    });
    const [nat, filter] = report.rulesets[0]?.tables ?? [];
    expect(nat?.chains.find(({ name }) => name === 'DOCKER')).toEqual({
      name: 'DOCKER',
      policy: null,
      packets: 0,
      bytes: 0,
      rules: [
        { number: 1, line: 5, packets: 0, bytes: 0, text: '-A DOCKER -i docker0 -j RETURN' },
        {
          number: 2,
          line: 6,
          packets: 48_468,
          bytes: 2_965_000,
          text: '-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337',
        },
      ],
    });
    expect(filter).toMatchObject({ name: 'filter', evaluated: false });
    expect(report.rulesets[0]?.skipped).toMatchObject([{ missing: 'match rateest', chain: 'FORWARD', number: 2 }]);
  });

  it('has null where nothing is known', () => {
    const { texts: _, ...rest } = DOCKER_RESULT;
    const bare = { ...rest, serviceTime: undefined, captureSeconds: undefined, elapsedSeconds: 0 };
    expect(reportSchema.parse(jsonReport(bare))).toMatchObject({
      serviceTime: null,
      captureSeconds: null,
      packetsPerSecond: null,
      bytesPerSecond: null,
      texts: [],
    });
  });

  it('is ASCII: hostile names survive as data and do nothing to a terminal', () => {
    const name = '\u001b[2J\u009b31m\u202eé"\\\n';
    const text = jsonReportText({
      ...DOCKER_RESULT,
      interfaces: [{ name, rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 }],
    });
    expect(text).toMatch(/^[ -~\n]+$/);
    expect(JSON.parse(text)).toMatchObject({ interfaces: [{ name }] });
  });

  it('is described by the published schema: after a change of it run scripts/schema.ts', () => {
    const published = readFileSync(new URL('../../docs/report.schema.json', import.meta.url), 'utf8');
    expect(JSON.parse(published)).toEqual(JSON.parse(JSON.stringify(jsonReportSchema())));
  });
});
