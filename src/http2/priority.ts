/** RFC 9218: which of the responses that are ready leaves first. */

/** 0 is the most urgent. */
export const URGENCY_DEFAULT = 3;
export const URGENCY_LEVELS = 8;

export interface Priority {
  readonly urgency: number;
  /** Of use in pieces: shares the connection with others of its urgency. */
  readonly incremental: boolean;
}

const LEVELS: readonly (readonly [Priority, Priority])[] = Array.from({length: URGENCY_LEVELS}, (_, urgency) => [
  {urgency, incremental: false},
  {urgency, incremental: true},
] as const);

export function priorityOf(urgency: number, incremental: boolean): Priority {
  return LEVELS[urgency]?.[incremental ? 1 : 0] ?? PRIORITY_DEFAULT;
}

export const PRIORITY_DEFAULT: Priority = {urgency: URGENCY_DEFAULT, incremental: false};

/** A value that is no dictionary of RFC 8941 is ignored as a whole (RFC 9218 §4); so are unknown members. */
const MEMBER = /^[\t ]*([a-z*][a-z0-9_.*-]*)(=(?:\?[01]|-?[0-9]{1,15}(?:\.[0-9]{1,3})?|"[\x20\x21\x23-\x5b\x5d-\x7e]*"|[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*))?(?:;[a-z*][a-z0-9_.*-]*(?:=[^,;"]*)?)*[\t ]*$/;
const VALUE_BYTES_MAX = 64;

/** Reads the value of a Priority field or of PRIORITY_UPDATE. It is advice: what cannot be understood is the default. */
export function parsePriority(value: string): Priority {
  if (value === '' || value.length > VALUE_BYTES_MAX) return PRIORITY_DEFAULT;
  let urgency = URGENCY_DEFAULT;
  let incremental = false;
  for (const part of value.split(',')) {
    const match = MEMBER.exec(part);
    if (match === null) return PRIORITY_DEFAULT;
    const [, key, item = '=?1'] = match;
    if (key === 'u') urgency = /^=[0-7]$/.test(item) ? Number(item.slice(1)) : URGENCY_DEFAULT;
    if (key === 'i') incremental = item === '=?1';
  }
  return priorityOf(urgency, incremental);
}
