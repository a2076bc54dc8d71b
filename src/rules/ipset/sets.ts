/** The sets of a host, by name, read from what `ipset save` prints. */
import { NatreplayError } from '../../errors.js';
import { didYouMean } from '../nearest.js';
import type { SharedState } from '../state/shared.js';
import { createSet } from './create.js';
import { Cursor } from './cursor.js';
import { SKB_WORDS } from './elements.js';
import { ElementSet } from './elementset.js';
import { ElementError, ElementReader } from './elementtext.js';
import { ListSet } from './listset.js';
import type { IpSet, SkbInfo } from './set.js';

const SPACE = 32;
const NEWLINE = '\n';

/** What follows an element. */
interface Extensions {
  timeout: number | undefined;
  packets: number;
  bytes: number;
  nomatch: boolean;
  skbinfo: SkbInfo | undefined;
}

export class IpSets {
  private readonly sets = new Map<string, ElementSet | ListSet>();

  /** `text`: what `ipset save` prints. Throws NatreplayError (IPSET_*) with the line. */
  static read(text: string, shared: SharedState): IpSets {
    const sets = new IpSets();
    new SaveReader(text, sets.sets, shared).read();
    return sets;
  }

  get names(): Iterable<string> {
    return this.sets.keys();
  }

  find(name: string): IpSet | undefined {
    return this.sets.get(name);
  }

  /** Throws RULES_UNKNOWN_SET, which says how to state it. */
  get(name: string): IpSet {
    const set = this.sets.get(name);
    if (set !== undefined) return set;
    const how = `give the host's sets: key "ipset" of the host file, what "ipset save" prints`;
    throw new NatreplayError('RULES_UNKNOWN_SET', `the host has no set "${name}"`, {
      advice: didYouMean(name, this.sets.keys(), how),
    });
  }
}

class SaveReader {
  private readonly cursor: Cursor;
  private line = 0;
  /** The set that the line before was about, with its reader: nearly every line has the same. */
  private set: ElementSet | undefined;
  private reader: ElementReader | undefined;
  private readonly extensions: Extensions = {
    timeout: undefined,
    packets: 0,
    bytes: 0,
    nomatch: false,
    skbinfo: undefined,
  };

  constructor(
    private readonly text: string,
    private readonly sets: Map<string, ElementSet | ListSet>,
    private readonly shared: SharedState,
  ) {
    this.cursor = new Cursor(text);
  }

  read(): void {
    const { text, cursor } = this;
    for (let at = 0; at < text.length; ) {
      const newline = text.indexOf(NEWLINE, at);
      const end = newline < 0 ? text.length : newline;
      this.line++;
      cursor.at = at;
      cursor.end = end > at && text[end - 1] === '\r' ? end - 1 : end;
      try {
        this.readLine();
      } catch (error) {
        if (!(error instanceof ElementError)) throw error;
        this.fail('IPSET_BAD_ELEMENT', error.what, error.advice);
      }
      at = end + 1;
    }
  }

  private readLine(): void {
    const { cursor } = this;
    this.skipBlanks();
    if (cursor.at === cursor.end || this.text[cursor.at] === '#') return;
    // `add blocklist 192.0.2.1`: the line that there is by the million.
    const { set, reader } = this;
    const start = cursor.at;
    if (set !== undefined && reader !== undefined && this.takesWord('add') && this.takesWord(set.name)) {
      this.addElement(set, reader);
      return;
    }
    cursor.at = start;
    const words = cursor.rest.match(/"[^"]*"|\S+/g) ?? [];
    const [command = '', ...rest] = words;
    switch (command) {
      case 'create':
      case '-N':
      case 'n':
        this.create(rest);
        return;
      case 'add':
      case '-A':
      case 'a':
        this.addTo(rest[0] ?? '', command);
        return;
      case 'COMMIT':
        return;
      default:
        this.fail(
          'IPSET_BAD_LINE',
          `"${command.slice(0, 40)}" is not expected here`,
          didYouMean(command, ['create', 'add'], 'give what "ipset save" prints: lines "create" and "add"'),
        );
    }
  }

  private create(words: readonly string[]): void {
    const set = createSet(words, this.shared);
    if (this.sets.has(set.name))
      this.fail('IPSET_EXISTS', `there is a set "${set.name}" already`, 'leave one of the lines out');
    this.sets.set(set.name, set);
    this.select(set instanceof ElementSet ? set : undefined);
  }

  private select(set: ElementSet | undefined): void {
    this.set = set;
    this.reader = set && new ElementReader(set);
  }

  /** A line about another set than the line before, or about a list. */
  private addTo(name: string, command: string): void {
    const set = this.sets.get(name);
    if (set === undefined) {
      const advice = didYouMean(name, this.sets.keys(), 'a line "create" makes it, before its elements');
      this.fail('IPSET_UNKNOWN_SET', `there is no set "${name}"`, advice);
    }
    this.takesWord(command);
    this.takesWord(name);
    if (set instanceof ListSet) {
      this.addMember(set);
      return;
    }
    this.select(set);
    if (this.reader !== undefined) this.addElement(set, this.reader);
  }

  private addElement(set: ElementSet, reader: ElementReader): void {
    const { cursor } = this;
    const start = cursor.at;
    // What follows the element is the same for all that it stands for, so it has to be known before.
    let end = cursor.at;
    while (end < cursor.end && this.text.charCodeAt(end) !== SPACE) end++;
    const more = end < cursor.end;
    if (more) {
      cursor.at = end;
      this.readExtensions();
      cursor.at = start;
    }
    const lineEnd = cursor.end;
    cursor.end = end;
    if (!more) this.forgetExtensions();
    reader.read(cursor, this.keep);
    if (cursor.at !== cursor.end)
      this.fail(
        'IPSET_BAD_ELEMENT',
        `"${this.text.slice(start, end)}" is not an element of ${set.type}`,
        'give what "ipset save" prints',
        start,
      );
    cursor.end = lineEnd;
    if (set.count > set.options.maxElements)
      this.fail(
        'IPSET_FULL',
        `set ${set.name} is full (maxelem ${set.options.maxElements})`,
        'create it with a higher maxelem',
      );
  }

  /** The element whose key the set holds, with what the line says of it. */
  private readonly keep = (): void => {
    const { set, extensions } = this;
    if (set === undefined) return;
    const element = set.insert();
    set.keepStation(element);
    const { elements } = set;
    elements.nomatch[element] = extensions.nomatch ? 1 : 0;
    if (elements.packets !== undefined) elements.packets[element] = extensions.packets;
    if (elements.bytes !== undefined) elements.bytes[element] = extensions.bytes;
    const { skbinfo } = extensions;
    if (elements.skbinfo !== undefined && skbinfo !== undefined) {
      elements.skbinfo.set([skbinfo.mark, skbinfo.mask, skbinfo.priority, skbinfo.queue], element * SKB_WORDS);
    }
    set.setTimeout(element, extensions.timeout ?? set.options.timeout ?? 0, 0);
  };

  private addMember(list: ListSet): void {
    const { cursor } = this;
    const name = cursor.upTo(' ');
    const member = this.sets.get(name);
    if (member === undefined || member === list || member instanceof ListSet) {
      const advice = 'create it before the list; a list cannot hold lists';
      this.fail('IPSET_UNKNOWN_SET', `"${name}" cannot be a member of ${list.name}`, advice);
    }
    if (list.has(member)) this.fail('IPSET_EXISTS', `${name} is in ${list.name} already`, 'leave the line out');
    this.readExtensions();
    const { timeout, packets, bytes, skbinfo } = this.extensions;
    list.append(member, { timeout: timeout ?? list.options.timeout ?? 0, packets, bytes, skbinfo });
  }

  /** ` timeout 60 packets 3 bytes 180 comment "..." skbmark 0x1/0xff skbprio 1:2 skbqueue 3 nomatch` */
  private readExtensions(): void {
    const { cursor, extensions } = this;
    this.forgetExtensions();
    for (this.skipBlanks(); cursor.at < cursor.end; this.skipBlanks()) {
      const word = cursor.upTo(' ');
      if (word === 'nomatch') {
        extensions.nomatch = true;
        continue;
      }
      if (word === '-exist' || word === '-!') continue;
      this.skipBlanks();
      const value = this.value();
      switch (word) {
        case 'timeout':
          extensions.timeout = this.number(word, value, 2147483);
          break;
        case 'packets':
          extensions.packets = this.number(word, value, Number.POSITIVE_INFINITY);
          break;
        case 'bytes':
          extensions.bytes = this.number(word, value, Number.POSITIVE_INFINITY);
          break;
        case 'comment':
          break;
        case 'skbmark': {
          const [mark = '', mask = '0xffffffff'] = value.split('/');
          this.skbinfo.mark = this.number(word, mark, 0xffffffff);
          this.skbinfo.mask = this.number(word, mask, 0xffffffff);
          break;
        }
        case 'skbprio': {
          const [major = '', minor = '0'] = value.split(':');
          this.skbinfo.priority = Number.parseInt(major, 16) * 0x10000 + Number.parseInt(minor, 16);
          break;
        }
        case 'skbqueue':
          this.skbinfo.queue = this.number(word, value, 0xffff);
          break;
        default:
          this.fail('IPSET_BAD_LINE', `"${word.slice(0, 40)}" is not expected here`, 'give what "ipset save" prints');
      }
    }
  }

  private get skbinfo(): SkbInfo {
    this.extensions.skbinfo ??= { mark: 0, mask: 0, priority: 0, queue: 0 };
    return this.extensions.skbinfo;
  }

  private forgetExtensions(): void {
    const { extensions } = this;
    extensions.timeout = undefined;
    extensions.packets = 0;
    extensions.bytes = 0;
    extensions.nomatch = false;
    extensions.skbinfo = undefined;
  }

  private number(name: string, text: string, max: number): number {
    const value = /^(0x[0-9a-f]{1,8}|[0-9]{1,20})$/i.test(text) ? Number(text) : Number.NaN;
    if (!(value <= max)) this.fail('IPSET_BAD_NUMBER', `${name} "${text}" is not a number`, 'correct it');
    return value;
  }

  /** A word, or what stands between quotes. */
  private value(): string {
    const { cursor } = this;
    if (this.text[cursor.at] !== '"') return cursor.upTo(' ');
    cursor.at++;
    const value = cursor.upTo('"');
    cursor.at++;
    return value;
  }

  private skipBlanks(): void {
    const { cursor } = this;
    while (cursor.takes(SPACE));
  }

  /** Whether that word comes next; then it is passed, with the blanks behind it. */
  private takesWord(word: string): boolean {
    const { cursor, text } = this;
    const end = cursor.at + word.length;
    if (end > cursor.end || !text.startsWith(word, cursor.at)) return false;
    if (end < cursor.end && text.charCodeAt(end) !== SPACE) return false;
    cursor.at = end;
    this.skipBlanks();
    return true;
  }

  private fail(code: string, what: string, advice: string, at = this.cursor.at): never {
    const column = at - this.text.lastIndexOf(NEWLINE, at - 1);
    throw new NatreplayError(code, what, { file: 'ipset', line: this.line, column, advice });
  }
}
