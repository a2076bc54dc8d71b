/** The little language of `-m u32`: `0>>22&0x3C@4>>16=80,443:450&&...` -> tests, and back. */
import type { ParseContext, Token } from '../extension.js';

export type Operator = '&' | '<<' | '>>' | '@';

/** Begins with the number at `start`, then one operation after the other. */
export interface U32Test {
  readonly start: number;
  readonly steps: readonly { readonly operator: Operator; readonly number: number }[];
  readonly values: readonly { readonly min: number; readonly max: number }[];
}

/** Most numbers in a location, values in a test, tests in a rule (XT_U32_MAXSIZE less one). */
const MOST = 10;

class U32Parser {
  private at = 0;

  constructor(
    private readonly token: Token,
    private readonly context: ParseContext,
  ) {}

  parse(): U32Test[] {
    const tests = [this.test()];
    while (this.take('&&')) tests.push(this.test());
    if (this.at < this.token.text.length) this.fail('"," or "&&" is expected');
    if (tests.length > MOST) this.fail(`${tests.length} tests, and u32 takes ${MOST}`);
    return tests;
  }

  private test(): U32Test {
    const start = this.number();
    const steps: { operator: Operator; number: number }[] = [];
    while (!this.take('=')) {
      const operator = (['&', '<<', '>>', '@'] as const).find((candidate) => this.take(candidate));
      if (operator === undefined) this.fail('&, <<, >>, @ or = is expected');
      const number = this.number();
      if ((operator === '<<' || operator === '>>') && number > 31) this.fail('a shift is by 31 bits at most');
      steps.push({ operator, number });
    }
    if (steps.length >= MOST) this.fail(`${steps.length + 1} numbers in a location, and u32 takes ${MOST}`);
    const values = [this.value()];
    while (this.take(',')) values.push(this.value());
    if (values.length > MOST) this.fail(`${values.length} values, and u32 takes ${MOST}`);
    return { start, steps, values };
  }

  private value(): { min: number; max: number } {
    const min = this.number();
    return { min, max: this.take(':') ? this.number() : min };
  }

  private number(): number {
    this.blanks();
    const found = /^(0[xX][0-9a-fA-F]+|[0-9]+)/.exec(this.token.text.slice(this.at))?.[0];
    if (found === undefined) this.fail('a number is expected');
    // As strtoul reads it: a leading 0 is octal, up to the first digit that is not.
    const text = /^0[0-7]+/.exec(found)?.[0] ?? (/^0[0-9]/.test(found) ? '0' : found);
    const octal = /^0[0-7]+$/.test(text);
    const value = octal ? Number.parseInt(text, 8) : Number(text);
    if (value > 0xffffffff) this.fail('the number does not fit into 32 bits');
    this.at += text.length;
    return value;
  }

  private take(text: string): boolean {
    this.blanks();
    if (!this.token.text.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  private blanks(): void {
    while (/\s/.test(this.token.text[this.at] ?? 'x')) this.at++;
  }

  private fail(what: string): never {
    return this.context.fail(
      'RULES_BAD_U32',
      `u32: ${what} at character ${this.at + 1} of "${this.token.text}"`,
      this.token,
      'write it like 0>>22&0x3C@4>>16=80',
    );
  }
}

export function parseU32(token: Token, context: ParseContext): U32Test[] {
  return new U32Parser(token, context).parse();
}

const hex = (value: number): string => `0x${value.toString(16)}`;

export function formatU32(tests: readonly U32Test[]): string {
  const words = tests.map(({ start, steps, values }) => {
    const location = steps.map(({ operator, number }) => operator + hex(number)).join('');
    const ranges = values.map(({ min, max }) => (min === max ? hex(min) : `${hex(min)}:${hex(max)}`));
    return `${hex(start)}${location}=${ranges.join(',')}`;
  });
  return `"${words.join('&&')}"`;
}
