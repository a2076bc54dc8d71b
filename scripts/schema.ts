/**
 * Writes docs/*.schema.json from the schemas in the source; tests hold them equal. After a change:
 * `npx tsx scripts/schema.ts && npx biome check --write docs`.
 */
import { writeFileSync } from 'node:fs';
import { comparisonJsonSchema } from '../src/bench/comparetext.js';
import { benchJsonSchema } from '../src/bench/json.js';
import { explanationJsonSchema } from '../src/explain/json.js';
import { jsonReportSchema } from '../src/report/json.js';
import { rulesCheckJsonSchema } from '../src/report/rulescheck.js';
import { rulesDiffJsonSchema } from '../src/report/rulesdiff.js';
import { rulesLintJsonSchema } from '../src/report/ruleslint.js';
import { verifyJsonSchema } from '../src/verify/json.js';
import { recordedJsonSchema } from '../src/verify/recorded/json.js';

const SCHEMAS = {
  'bench.schema.json': benchJsonSchema(),
  'compare.schema.json': comparisonJsonSchema(),
  'explain.schema.json': explanationJsonSchema(),
  'report.schema.json': jsonReportSchema(),
  'verify.schema.json': verifyJsonSchema(),
  'recorded.schema.json': recordedJsonSchema(),
  'rules.schema.json': rulesCheckJsonSchema(),
  'lint.schema.json': rulesLintJsonSchema(),
  'diff.schema.json': rulesDiffJsonSchema(),
};

for (const [name, schema] of Object.entries(SCHEMAS))
  writeFileSync(new URL(`../docs/${name}`, import.meta.url), `${JSON.stringify(schema, null, 2)}\n`);
