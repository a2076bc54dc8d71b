/** Writes docs/report.schema.json from the schema in the source: `npx tsx scripts/schema.ts`. A test holds them equal. */
import { writeFileSync } from 'node:fs';
import { jsonReportSchema } from '../src/report/json.js';

writeFileSync(
  new URL('../docs/report.schema.json', import.meta.url),
  `${JSON.stringify(jsonReportSchema(), null, 2)}\n`,
);
