/** Options of every command that reads rules and nothing else. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { isTableName, TABLE_NAMES } from '../rules/tables.js';
import type { TableName } from '../rules/types.js';

/** What every command that reads rules takes. */
export interface RulesReadingOptions {
  readonly ipv6?: boolean;
  readonly table?: TableName;
  readonly unsupported: 'stop' | 'skip';
}

/** Adds the options of RulesReadingOptions. */
export function readsRules(command: Command, table: string): Command {
  return command
    .option('-6, --ipv6', 'they are IPv6 rules, if they do not say so themselves')
    .option('-t, --table <table>', table, tableName)
    .addOption(
      new Option('--unsupported <how>', 'rules that hold something unknown: stop, or skip (never match)')
        .choices(['stop', 'skip'])
        .default('stop'),
    );
}

function tableName(text: string): TableName {
  if (isTableName(text)) return text;
  throw new InvalidArgumentError(`there is no table "${text}"; there are ${TABLE_NAMES.join(', ')}.`);
}
