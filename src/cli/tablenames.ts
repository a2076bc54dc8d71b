/** The argument of --tables. */
import { InvalidArgumentError } from 'commander';
import { isTableName, TABLE_NAMES } from '../rules/tables.js';
import type { TableName } from '../rules/types.js';

/** `nat,filter`; throws commander's InvalidArgumentError. */
export function tableNames(text: string): TableName[] {
  const names = text.split(',');
  const wrong = names.find((name) => !isTableName(name));
  if (wrong !== undefined)
    throw new InvalidArgumentError(`there is no table "${wrong}"; there are ${TABLE_NAMES.join(', ')}.`);
  return names.filter(isTableName);
}
