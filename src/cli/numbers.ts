/** Numbers as options take them. */
import { InvalidArgumentError } from 'commander';

/** A number above 0; throws commander's InvalidArgumentError. */
export function positive(text: string): number {
  const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : 0;
  if (value <= 0) throw new InvalidArgumentError('it must be a number above 0.');
  return value;
}

/** `5%` or `5`: a share, 0.05. */
export function limit(text: string): number {
  const match = /^(\d+(?:\.\d+)?)%?$/.exec(text);
  if (match === null) throw new InvalidArgumentError('it must be a percentage such as 5%.');
  return Number(match[1]) / 100;
}

export function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('it must be a whole number.');
  return Number(text);
}

export function atLeastOne(text: string): number {
  const value = wholeNumber(text);
  if (value < 1) throw new InvalidArgumentError('it must be 1 or more.');
  return value;
}
