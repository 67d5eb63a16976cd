/** Which fields of a response reach the client, and the defaults that every response carries unless somebody decided otherwise. */
import type {FieldChangesSnapshot} from '#src/config/snapshot.ts';
import {copyFields} from '#src/http1/field-block.ts';
import {FIELD, FOLDING_KNOWN, NAMED_BY_CONNECTION} from '#src/http1/field-names.ts';
import {SECURITY_BITS, type ResponseHead} from '#src/http1/response-head.ts';
import {isEmpty, planFields, type FieldPlan} from '#src/policy/request-hardening.ts';

/**
 * Hop-by-hop, framing, what tells an attacker which software answers, and `Alt-Svc`: an application must not send clients to a
 * listener that is not this one. And what folds into a name that Torwart knows (`transfer_encoding`), in case that somebody between here and
 * the client folds; other names with `_` or `.` are in honest use in responses (metadata of object stores and of gRPC).
 */
const NEVER_FORWARDED: readonly number[] = [
  FIELD['content-length'], FIELD['transfer-encoding'], FIELD.connection, FIELD['keep-alive'], FIELD['proxy-connection'], FIELD.te,
  FIELD.trailer, FIELD.upgrade, FIELD['proxy-authenticate'], FIELD['proxy-authentication-info'], FIELD.server, FIELD['x-powered-by'],
  FIELD['x-aspnet-version'], FIELD['x-aspnetmvc-version'], FIELD['x-generator'], FIELD['x-runtime'], FIELD['x-version'],
  FIELD['alt-svc'], NAMED_BY_CONNECTION, FOLDING_KNOWN,
];

/** The defaults. `bit` is set in `ResponseHead.securityFields` where the application sent the field itself. */
const DEFAULTS = [
  {name: 'strict-transport-security', value: 'max-age=31536000', bit: SECURITY_BITS.strictTransportSecurity, secureOnly: true},
  {name: 'x-content-type-options', value: 'nosniff', bit: SECURITY_BITS.contentTypeOptions, secureOnly: false},
  {name: 'x-frame-options', value: 'SAMEORIGIN', bit: SECURITY_BITS.frameOptions, secureOnly: false},
  {name: 'referrer-policy', value: 'strict-origin-when-cross-origin', bit: SECURITY_BITS.referrerPolicy, secureOnly: false},
] as const;

const MASKS = 16;

export interface ResponsePlan extends FieldPlan {
  /** Lines to add over TLS, by the mask of the security fields that the application sent. */
  readonly addedSecure: readonly string[];
  /** The same in cleartext, where Strict-Transport-Security must not be sent (RFC 6797 §7.2). */
  readonly addedCleartext: readonly string[];
}

/** Most routes change nothing: they share one plan, whose lines would outweigh the rest of a route. */
const UNCHANGED = makePlan({set: [], remove: []});

export function planResponseFields(changes: FieldChangesSnapshot): ResponsePlan {
  return isEmpty(changes) ? UNCHANGED : makePlan(changes);
}

function makePlan(changes: FieldChangesSnapshot): ResponsePlan {
  const plan = planFields(NEVER_FORWARDED, changes);
  const decided = new Set([...changes.remove, ...changes.set.map(([name]) => name)]);
  const linesFor = (mask: number, isSecure: boolean): string => plan.added + DEFAULTS
    .filter((field) => (mask & field.bit) === 0 && !decided.has(field.name) && (isSecure || !field.secureOnly))
    .map((field) => `${field.name}: ${field.value}\r\n`)
    .join('');
  const masks = Array.from({length: MASKS}, (_, mask) => mask);
  return {...plan, addedSecure: masks.map((mask) => linesFor(mask, true)), addedCleartext: masks.map((mask) => linesFor(mask, false))};
}

/** The fields of the application's response that the client may see, and the defaults, as lines. */
export function hardenResponseFields(head: ResponseHead, plan: ResponsePlan, isSecure: boolean): string {
  const added = (isSecure ? plan.addedSecure : plan.addedCleartext)[head.securityFields] ?? '';
  return copyFields(head.fields, plan.dropped, plan.removedNames) + added;
}

/**
 * The links of a 103, as lines. Whatever else it says is a guess at the final response (RFC 8297 §2), and must not work before that:
 * the application can still fail, and Torwart answer in its place.
 */
export function selectHints({fields}: ResponseHead, plan: ResponsePlan): string {
  let lines = '';
  for (let i = 0; i < fields.count; i++) {
    const isDropped = plan.dropped[fields.numbers[i] as number] === 1 || plan.removedNames?.has('link') === true;
    if (!isDropped && fields.name(i).toLowerCase() === 'link') lines += `link: ${fields.value(i)}\r\n`;
  }
  return lines;
}

/** The defaults alone, for responses that Torwart makes itself. */
export function defaultResponseFields(plan: ResponsePlan, isSecure: boolean): string {
  return (isSecure ? plan.addedSecure : plan.addedCleartext)[0] ?? '';
}
