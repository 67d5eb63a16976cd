/**
 * `a === b` for two slices of larger strings. V8 compares those in its runtime, out of line, which takes longer than reading a short
 * text one character after the other.
 */
export function equalTexts(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a.charCodeAt(i) !== b.charCodeAt(i)) return false;
  }
  return true;
}

/**
 * The same text as a string of one piece. V8 keeps a concatenation as a tree of its parts and walks the tree whenever the text is
 * written: for text that is written with every request, that walk is worth avoiding once and for all.
 *
 * @param text latin1 only
 */
export function flattenText(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
