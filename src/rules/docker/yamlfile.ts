/** A YAML file as values that know where they stand, for errors with line and column. */
import { type Document, isAlias, isMap, isPair, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { NatreplayError } from '../../errors.js';
import { interpolate } from './interpolation.js';
import { type Fail, failInFile } from './problem.js';

type Path = readonly (string | number)[];
/** Value of a variable of the environment. */
export type Environment = (name: string) => string | undefined;

/** Aliases may repeat a part this often; beyond that it is the file that is meant to fill memory. */
const MOST_ALIASES = 1000;

/** Throws DOCKER_YAML. */
export function readYaml(text: string, file: string, environment: Environment): YamlValue {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true, logLevel: 'silent' });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    const what = `not YAML: ${error.message.replace(/\s+/g, ' ')}`;
    throw new NatreplayError('DOCKER_YAML', what, { file, line, column: col, cause: error });
  }
  const source = { document, lines, file, environment };
  try {
    return new YamlValue(document.toJS({ mapAsMap: true, maxAliasCount: MOST_ALIASES }), [], source);
  } catch (cause) {
    const what = `not YAML: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new NatreplayError('DOCKER_YAML', what, { file, cause });
  }
}

interface Source {
  readonly document: Document;
  readonly lines: LineCounter;
  readonly file: string;
  readonly environment: Environment;
}

export class YamlValue {
  constructor(
    readonly value: unknown,
    readonly path: Path,
    private readonly source: Source,
  ) {}

  /** Nothing there, or nothing said (`key:`). */
  get isEmpty(): boolean {
    return this.value === undefined || this.value === null;
  }

  get isMapping(): boolean {
    return this.value instanceof Map;
  }

  get isList(): boolean {
    return Array.isArray(this.value);
  }

  /** The last word of the path, for messages. */
  get name(): string {
    return String(this.path.at(-1) ?? 'the file');
  }

  readonly fail: Fail = (code, what, advice) => failInFile(this.source.file, this.#place())(code, what, advice);

  get(key: string): YamlValue {
    const value: unknown = this.value instanceof Map ? this.value.get(key) : undefined;
    return new YamlValue(value, [...this.path, key], this.source);
  }

  /** Of a mapping; empty for nothing. */
  entries(): [key: string, value: YamlValue][] {
    if (this.isEmpty) return [];
    if (!(this.value instanceof Map)) return this.#wrong('a mapping (name: value)');
    return [...this.value.entries()].map(([key, value]) => {
      const name = String(key);
      return [name, new YamlValue(value, [...this.path, name], this.source)];
    });
  }

  /** Of a list; empty for nothing. */
  items(): YamlValue[] {
    if (this.isEmpty) return [];
    if (!Array.isArray(this.value)) return this.#wrong('a list (- value)');
    return this.value.map((value: unknown, i) => new YamlValue(value, [...this.path, i], this.source));
  }

  /** A text or number, variables filled in; undefined for nothing. */
  text(): string | undefined {
    if (this.isEmpty) return undefined;
    const { value } = this;
    if (typeof value === 'string') return interpolate(value, this.source.environment, this.fail);
    if (typeof value === 'number' || typeof value === 'boolean') return String(value);
    return this.#wrong('a text');
  }

  yes(otherwise = false): boolean {
    const text = this.text();
    if (text === undefined) return otherwise;
    if (/^(true|yes|on)$/i.test(text)) return true;
    if (/^(false|no|off)$/i.test(text)) return false;
    return this.#wrong('true or false');
  }

  #wrong(wanted: string): never {
    return this.fail('DOCKER_COMPOSE', `${this.name} is not ${wanted}`, 'see the Compose file reference');
  }

  #place(): { line: number; column: number } {
    const offset = offsetOf(this.source.document, this.path);
    const { line, col } = this.source.lines.linePos(offset);
    return { line, column: col };
  }
}

/** Where the value stands, or what is nearest above it. */
function offsetOf(document: Document, path: Path): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const key of path) {
    if (isAlias(node)) node = node.resolve(document);
    const next: unknown = isMap(node)
      ? node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(key))
      : isSeq(node)
        ? node.items[Number(key)]
        : undefined;
    if (next === undefined) return offset;
    offset = startOf(isPair(next) ? next.key : next) ?? offset;
    node = isPair(next) ? next.value : next;
    // An alias stands for what it names, and that is where the mistake is seen.
    offset = startOf(node) ?? offset;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  const range = (node as Node | null | undefined)?.range;
  return range?.[0] === range?.[1] ? undefined : range?.[0];
}
