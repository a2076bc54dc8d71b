/**
 * JSON as plain ASCII. File names, interface names and comments come from strangers; JSON lets DEL, C1 controls and
 * bidirectional marks through as they are, which a terminal that shows the text may obey. Escaped, they are harmless.
 */

/** Anything but printable ASCII, quote and backslash. */
const NOT_PLAIN = /[^ !#-[\]-~]/;
const NOT_ASCII = /[^ -~]/g;

/** `text` as a JSON string. */
export function jsonString(text: string): string {
  return NOT_PLAIN.test(text) ? asciiLine(JSON.stringify(text)) : `"${text}"`;
}

/** `value` as JSON, indented by two spaces, newline at the end. */
export function asciiJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2).split('\n').map(asciiLine).join('\n')}\n`;
}

/** UTF-16 units outside ASCII occur in JSON only inside strings, where `\uNNNN` means the same. */
function asciiLine(json: string): string {
  return json.replace(NOT_ASCII, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
