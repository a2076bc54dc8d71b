/** `-j IDLETIMER`: tells programs of the host when traffic stops (kernel: net/netfilter/xt_IDLETIMER.c). Changes no packet. */
import type { TargetExtension } from '../extension.js';
import { parseNumber } from '../values/ranges.js';
import { quote } from '../values/strings.js';
import { argument, find, flag, has, option, requireOne } from './support.js';

export interface IdletimerOptions {
  readonly timeout: number;
  readonly label: string;
  readonly alarm: boolean;
}

/** Bytes that fit into the kernel's field. */
const MAX_LABEL = 27;
/** Seconds of which the kernel can still count the milliseconds. */
const MAX_TIMEOUT = Math.floor(0x7fffffff / 1000);

export const idletimer: TargetExtension<IdletimerOptions> = {
  kind: 'target',
  name: 'IDLETIMER',
  summary: 'tells programs when traffic stops; no packet changes',
  families: [4, 6],
  options: [option(false, '--timeout'), option(false, '--label'), flag(false, '--alarm')],
  parse(options, context) {
    requireOne(options, 'IDLETIMER', context, '--timeout');
    requireOne(options, 'IDLETIMER', context, '--label');
    const [timeout, label] = [find(options, '--timeout'), find(options, '--label')];
    if (timeout === undefined || label === undefined) throw new RangeError('--timeout');
    const token = argument(label);
    if (token.text === '' || token.text.includes('/'))
      context.fail(
        'RULES_BAD_NAME',
        `"${token.text}" cannot be the name of a timer`,
        token,
        'give it a name without "/"',
      );
    return {
      timeout: parseNumber(argument(timeout), 1, MAX_TIMEOUT, context),
      label: token.text.slice(0, MAX_LABEL),
      alarm: has(options, '--alarm'),
    };
  },
  print: ({ timeout, label, alarm }) => ` --timeout ${timeout} --label ${label}${alarm ? ' --alarm' : ''}`,
  list: ({ timeout, label, alarm }) => `timeout:${timeout} label:${label}${alarm ? ' alarm' : ''}`,
  compile: () => ({ kind: 'effect', apply() {} }),
};

export interface LedOptions {
  readonly trigger: string;
  readonly delay: number | 'inf';
  readonly alwaysBlink: boolean;
}

/** `-j LED`: blinks a light of the host (kernel: net/netfilter/xt_LED.c). */
export const led: TargetExtension<LedOptions> = {
  kind: 'target',
  name: 'LED',
  summary: 'blinks a light of the host; no packet changes',
  families: [4, 6],
  options: [option(false, '--led-trigger-id'), option(false, '--led-delay'), flag(false, '--led-always-blink')],
  parse(options, context) {
    requireOne(options, 'LED', context, '--led-trigger-id');
    const [trigger, delay] = [find(options, '--led-trigger-id'), find(options, '--led-delay')];
    if (trigger === undefined) throw new RangeError('--led-trigger-id');
    const time = delay === undefined ? 0 : argument(delay);
    return {
      trigger: argument(trigger).text,
      delay: time === 0 ? 0 : time.text.toLowerCase() === 'inf' ? 'inf' : parseNumber(time, 0, 0xffffffff, context),
      alwaysBlink: has(options, '--led-always-blink'),
    };
  },
  print({ trigger, delay, alwaysBlink }) {
    let text = ` --led-trigger-id ${quote(trigger)}`;
    if (delay !== 0) text += ` --led-delay ${delay}`;
    return alwaysBlink ? `${text} --led-always-blink` : text;
  },
  list: ({ trigger, delay, alwaysBlink }) =>
    `led-trigger-id:"${trigger}" led-delay:${delay}${delay === 'inf' ? '' : 'ms'}${alwaysBlink ? ' led-always-blink' : ''}`,
  compile: () => ({ kind: 'effect', apply() {} }),
};
