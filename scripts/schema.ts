/**
 * Writes docs/report.schema.json from the schema in the source; a test holds them equal. After a change:
 * `npx tsx scripts/schema.ts && npx biome check --write docs`.
 */
import { writeFileSync } from 'node:fs';
import { jsonReportSchema } from '../src/report/json.js';

writeFileSync(
  new URL('../docs/report.schema.json', import.meta.url),
  `${JSON.stringify(jsonReportSchema(), null, 2)}\n`,
);
