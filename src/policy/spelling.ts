/** One form for all spellings that some program takes for the same. To take too many for the same errs on the safe side. */

/** As the default collations of databases compare (MySQL's `utf8mb4_0900_ai_ci`): marks and case do not count, and `ø` is `o`. */
const COLLATOR = new Intl.Collator('und', {sensitivity: 'base'});
const KANA = Array.from({length: 0x3097 - 0x3041}, (_, index) => String.fromCharCode(0x3041 + index));
/** What letters are taken for, in the order of the collation. */
const LETTERS = [
  ...Array.from('abcdefghijklmnopqrstuvwxyz0123456789'), 'aa', 'ae', 'ao', 'au', 'av', 'ay', 'db', 'dz', 'll', 'ls', 'lz', 'ng', 'oe', 'oo', 'qp', 'ss', 'th', 'ts', 'tz', 'vy', ...KANA,
].toSorted((a, b) => COLLATOR.compare(a, b));

/**
 * Of names: without case, and without what nobody sees. `ſ` is an `s` to whoever folds by Unicode, as Go does with the keys of objects.
 */
export function foldSpelling(text: string): string {
  return text.normalize('NFKD').replaceAll(/[\p{M}\p{C}]/gu, '').trim().toUpperCase().toLowerCase();
}

/**
 * Of what is looked up in a database. Applications take `Alice `, `alice` and `ＡＬＩＣＥ` for the same, and databases `álice`, `ø` and `o`, digits of
 * all scripts, two kinds of kana, and `ß` and `ss` (MySQL's `utf8mb4_general_ci`: and `s`); or they do not.
 * @param text of some hundred letters at most: each of another script is looked for
 */
export function foldLetters(text: string): string {
  const known = new Map<string, string>();
  return foldSpelling(text).replaceAll(/[^\0-\x7f]/gu, (letter) => {
    const folded = known.get(letter) ?? findLetter(letter);
    known.set(letter, folded);
    return folded;
  }).replaceAll('ss', 's');
}

/** Itself where it is none of them. */
function findLetter(letter: string): string {
  let low = 0, high = LETTERS.length;
  while (low < high) {
    const middle = (low + high) >> 1, other = LETTERS[middle] ?? '';
    const order = COLLATOR.compare(letter, other);
    if (order === 0) return other;
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return letter;
}
