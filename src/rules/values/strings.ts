/** Strings as iptables-save writes them. */

/** Quoted, with quotes, backslashes and apostrophes escaped, unless it is made of letters, digits, `_` and `-` alone. */
export function quote(text: string): string {
  return /^[0-9A-Za-z_-]+$/.test(text) ? text : `"${text.replace(/["\\']/g, '\\$&')}"`;
}
